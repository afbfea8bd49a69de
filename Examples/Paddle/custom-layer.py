# A layer of one's own: bumps around learned centres, which tell the black squares of a chessboard from the
# white.
import paddle
from paddle import nn
from paddle.io import DataLoader, TensorDataset


class RadialBasis(nn.Layer):
    """`exp(-|x - centre|² · rate)` for each centre. `x [batch, in_features]` → `[batch, centres]`."""

    def __init__(self, in_features, centres):
        super().__init__()
        self.centres = self.create_parameter([centres, in_features], default_initializer=nn.initializer.Uniform(0, 3))
        self.log_rates = self.create_parameter([centres], is_bias=True)

    def forward(self, x):
        distances = (x.unsqueeze(1) - self.centres).square().sum(2)
        return paddle.exp(-distances * self.log_rates.exp())


paddle.seed(1)
points = paddle.rand([600, 2]) * 3
colours = points.floor().sum(1).remainder(paddle.to_tensor(2.0)).astype("int64")
batches = DataLoader(TensorDataset([points[:500], colours[:500]]), batch_size=50, shuffle=True)

network = nn.Sequential(RadialBasis(2, centres=36), nn.Linear(36, 2))
optimizer = paddle.optimizer.AdamW(3e-2, parameters=network.parameters())
for epoch in range(40):
    for x, y in batches:
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()

with paddle.no_grad():
    accuracy = (network(points[500:]).argmax(1) == colours[500:]).astype("float32").mean().item()
print("accuracy", accuracy)
