# A data pipeline: two workers make pictures ahead, shuffled and changed anew in each epoch, but the same at any number
# of workers. A small convolutional network tells lying stripes from standing ones.
import random

import numpy
import paddle
from paddle import nn
from paddle.io import BatchSampler, DataLoader, Dataset
from paddle.vision.transforms import adjust_brightness, adjust_contrast, affine, hflip
from PIL import Image


def make_picture(item):
    """Stripes of random width, phase and brightness; standing ones for odd items."""
    choose = random.Random(item)
    width, phase, bright = choose.randint(2, 4), choose.randrange(8), choose.randint(120, 255)
    stripes = numpy.where((numpy.arange(16) + phase) // width % 2 == 0, bright, 30).astype("uint8")
    rows = numpy.tile(stripes, [16, 1])
    return Image.fromarray(numpy.stack([rows if item % 2 else rows.T] * 3, axis=2))


def augment(picture, key):
    """Flips, shifts by up to a tenth, turns by up to 10 degrees, and changes brightness and contrast."""
    choose = random.Random(key)
    if choose.random() < 0.5:
        picture = hflip(picture)
    shift = [round(choose.uniform(-1.6, 1.6)), round(choose.uniform(-1.6, 1.6))]
    picture = affine(picture, choose.uniform(-10, 10), shift, 1.0, [0.0, 0.0])
    picture = adjust_brightness(picture, choose.uniform(0.8, 1.2))
    return adjust_contrast(picture, choose.uniform(0.8, 1.2))


def prepare(picture):
    return numpy.asarray(picture).transpose([2, 0, 1]).astype("float32") / 127.5 - 1


class Stripes(Dataset):
    def __getitem__(self, request):
        epoch, item = request
        return prepare(augment(make_picture(item), f"{epoch} {item}")), item % 2

    def __len__(self):
        return 256


class ShuffledEpochs(BatchSampler):
    """Every item once, in another order in each epoch, and with the epoch, a key for augmentation."""

    def __init__(self, count, batch_size):
        self.count, self.batch_size, self.epoch = count, batch_size, 0

    def __iter__(self):
        order = list(range(self.count))
        random.Random(self.epoch).shuffle(order)
        for start in range(0, self.count, self.batch_size):
            yield [(self.epoch, item) for item in order[start : start + self.batch_size]]

    def __len__(self):
        return (self.count + self.batch_size - 1) // self.batch_size


sampler = ShuffledEpochs(256, batch_size=32)
batches = DataLoader(Stripes(), batch_sampler=sampler, num_workers=2)

paddle.seed(3)
network = nn.Sequential(
    nn.Conv2D(3, 8, 3, stride=2, padding=1), nn.ReLU(),
    nn.Conv2D(8, 16, 3, stride=2, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(16, 2),
)  # fmt: skip
optimizer = paddle.optimizer.AdamW(1e-2, parameters=network.parameters())
for sampler.epoch in range(5):
    for pictures, labels in batches:
        loss = nn.functional.cross_entropy(network(pictures), labels)
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()

pictures = paddle.to_tensor([prepare(make_picture(item)) for item in range(256, 356)])
labels = paddle.arange(256, 356) % 2
with paddle.no_grad():
    accuracy = (network(pictures).argmax(1) == labels).astype("float32").mean().item()
print("accuracy", accuracy)
