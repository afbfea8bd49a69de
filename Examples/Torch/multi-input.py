# A network with two inputs of different kinds: a category, which is embedded, and numbers. It learns prices
# that follow another rule in each of five towns.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class PriceNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.town = nn.Embedding(5, 4)
        self.hidden = nn.Linear(6, 64)
        self.head = nn.Linear(64, 1)

    def forward(self, towns, numbers):
        x = torch.cat([self.town(towns), numbers], dim=1)
        return self.head(self.hidden(x).relu())


torch.manual_seed(1)
towns = torch.randint(5, [1000])
numbers = torch.rand(1000, 2)
rates = torch.rand(5, 2) * 3 + 1
prices = (rates[towns] * numbers).sum(1, keepdim=True)
batches = DataLoader(TensorDataset(towns, numbers, prices), batch_size=50, shuffle=True)

network = PriceNetwork()
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
for epoch in range(20):
    for some_towns, some_numbers, some_prices in batches:
        loss = nn.functional.mse_loss(network(some_towns, some_numbers), some_prices)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("mean error", nn.functional.l1_loss(network(towns, numbers), prices).item())
