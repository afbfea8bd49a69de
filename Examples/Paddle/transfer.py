# Transfer learning: a trunk learns eight regions of the plane from many points and is saved; a second network
# takes it, frozen, and learns another question from 40 points by training a head alone.
import tempfile

import paddle
from paddle import nn
from safetensors.paddle import load_file, save_file


def make_trunk():
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())


def train(network, x, y):
    optimizer = paddle.optimizer.AdamW(1e-2, parameters=network.parameters())
    for step in range(150):
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()


paddle.seed(1)
path = tempfile.mkdtemp() + "/trunk.safetensors"

points = paddle.randn([1000, 2])
is_positive = (points > 0).astype("int64")
is_far = (points.norm(axis=1) > 1.2).astype("int64")
regions = (is_positive * paddle.to_tensor([1, 2])).sum(1) + 4 * is_far
network = nn.Sequential(make_trunk(), nn.Linear(32, 8))
train(network, points, regions)
save_file(network[0].state_dict(), path)

is_diagonal = (is_positive.sum(1) == 1).astype("int64")
trunk, head = make_trunk(), nn.Linear(32, 2)
trunk.set_state_dict(load_file(path))
with paddle.no_grad():
    features = trunk(points)
train(head, features[:40], is_diagonal[:40])
with paddle.no_grad():
    accuracy = (head(features[40:]).argmax(1) == is_diagonal[40:]).astype("float32").mean().item()
print("accuracy", accuracy)
