# A data pipeline: two workers make pictures ahead, shuffled and changed anew in each epoch, but the same at any
# number of workers. A small convolutional network tells lying stripes from standing ones.
import random

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler


def make_picture(item):
    """Stripes of random width, phase and brightness; standing ones for odd items."""
    choose = random.Random(item)
    width, phase, bright = choose.randint(2, 4), choose.randrange(8), choose.randint(120, 255)
    stripes = torch.where((torch.arange(16) + phase) // width % 2 == 0, bright, 30) / 255
    picture = stripes.expand(3, 16, 16)
    return picture if item % 2 else picture.transpose(1, 2)


def augment(picture, key):
    """Flips, shifts by up to a tenth, turns by up to 10 degrees, and changes brightness and contrast."""
    choose = random.Random(key)
    angle = torch.tensor(choose.uniform(-10, 10)).deg2rad()
    mirror = -1 if choose.random() < 0.5 else 1
    right, down = choose.uniform(-0.2, 0.2), choose.uniform(-0.2, 0.2)
    matrix = torch.tensor([[mirror * angle.cos(), -angle.sin(), right], [mirror * angle.sin(), angle.cos(), down]])
    grid = nn.functional.affine_grid(matrix[None], [1, 3, 16, 16], align_corners=False)
    moved = nn.functional.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)[0]
    toned = (moved - 0.5) * choose.uniform(0.8, 1.2) + 0.5 + choose.uniform(-0.2, 0.2)
    return toned.clamp(0, 1)


class Stripes(Dataset):
    def __getitem__(self, request):
        epoch, item = request
        return augment(make_picture(item), f"{epoch} {item}") * 2 - 1, item % 2


class ShuffledEpochs(Sampler):
    """Every item once, in another order in each epoch, and with the epoch, a key for augmentation."""

    def __init__(self, count):
        self.count, self.epoch = count, 0

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        return iter([(self.epoch, item) for item in order])

    def __len__(self):
        return self.count


sampler = ShuffledEpochs(256)
batches = DataLoader(Stripes(), batch_size=32, sampler=sampler, num_workers=2)

torch.manual_seed(3)
network = nn.Sequential(
    nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
    nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2),
)  # fmt: skip
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
for sampler.epoch in range(5):
    for pictures, labels in batches:
        loss = nn.functional.cross_entropy(network(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

pictures = torch.stack([make_picture(item) for item in range(256, 356)]) * 2 - 1
labels = torch.arange(256, 356) % 2
with torch.no_grad():
    accuracy = (network(pictures).argmax(1) == labels).float().mean().item()
print("accuracy", accuracy)
