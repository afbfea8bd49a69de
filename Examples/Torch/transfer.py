# Transfer learning: a trunk learns eight regions of the plane from many points and is saved; a second network
# takes it, frozen, and learns another question from 40 points by training a head alone.
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def make_trunk():
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())


def train(network, x, y):
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for step in range(150):
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(1)
path = tempfile.mkdtemp() + "/trunk.safetensors"

points = torch.randn(1000, 2)
is_positive = (points > 0).long()
is_far = (points.norm(dim=1) > 1.2).long()
regions = (is_positive * torch.tensor([1, 2])).sum(1) + 4 * is_far
network = nn.Sequential(make_trunk(), nn.Linear(32, 8))
train(network, points, regions)
save_file(network[0].state_dict(), path)

is_diagonal = (is_positive.sum(1) == 1).long()
trunk, head = make_trunk(), nn.Linear(32, 2)
trunk.load_state_dict(load_file(path))
with torch.no_grad():
    features = trunk(points)
train(head, features[:40], is_diagonal[:40])
with torch.no_grad():
    accuracy = (head(features[40:]).argmax(1) == is_diagonal[40:]).float().mean().item()
print("accuracy", accuracy)
