# A network with two inputs of different kinds: a category, which is embedded, and numbers. It learns prices
# that follow another rule in each of five towns.
import paddle
from paddle import nn
from paddle.io import DataLoader, TensorDataset


class PriceNetwork(nn.Layer):
    def __init__(self):
        super().__init__()
        self.town = nn.Embedding(5, 4)
        self.hidden = nn.Linear(6, 64)
        self.head = nn.Linear(64, 1)

    def forward(self, towns, numbers):
        x = paddle.concat([self.town(towns), numbers], axis=1)
        return self.head(nn.functional.relu(self.hidden(x)))


paddle.seed(1)
towns = paddle.randint(0, 5, [1000])
numbers = paddle.rand([1000, 2])
rates = paddle.rand([5, 2]) * 3 + 1
prices = (rates[towns] * numbers).sum(1, keepdim=True)
batches = DataLoader(TensorDataset([towns, numbers, prices]), batch_size=50, shuffle=True)

network = PriceNetwork()
optimizer = paddle.optimizer.AdamW(1e-2, parameters=network.parameters())
for epoch in range(20):
    for some_towns, some_numbers, some_prices in batches:
        loss = nn.functional.mse_loss(network(some_towns, some_numbers), some_prices)
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()
with paddle.no_grad():
    print("mean error", nn.functional.l1_loss(network(towns, numbers), prices).item())
