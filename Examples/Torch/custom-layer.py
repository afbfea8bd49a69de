# A layer of one's own: bumps around learned centres, which tell the black squares of a chessboard from the
# white.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class RadialBasis(nn.Module):
    """`exp(-|x - centre|² · rate)` for each centre. `x [batch, in_features]` → `[batch, centres]`."""

    def __init__(self, in_features, centres):
        super().__init__()
        self.centres = nn.Parameter(torch.rand(centres, in_features) * 3)
        self.log_rates = nn.Parameter(torch.zeros(centres))

    def forward(self, x):
        distances = (x.unsqueeze(1) - self.centres).square().sum(2)
        return torch.exp(-distances * self.log_rates.exp())


torch.manual_seed(1)
points = torch.rand(600, 2) * 3
colours = points.floor().sum(1).remainder(2).long()
batches = DataLoader(TensorDataset(points[:500], colours[:500]), batch_size=50, shuffle=True)

network = nn.Sequential(RadialBasis(2, centres=36), nn.Linear(36, 2))
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-2)
for epoch in range(40):
    for x, y in batches:
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with torch.no_grad():
    accuracy = (network(points[500:]).argmax(1) == colours[500:]).float().mean().item()
print("accuracy", accuracy)
