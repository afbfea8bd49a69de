# Two optimisers in one training: the trunk by AdamW, the head by gradient descent with momentum. They learn a
# sine.
import paddle
from paddle import nn

paddle.seed(1)
trunk, head = nn.Sequential(nn.Linear(1, 64), nn.Tanh()), nn.Linear(64, 1)
optimizers = [
    paddle.optimizer.AdamW(2e-2, parameters=trunk.parameters()),
    paddle.optimizer.Momentum(1e-2, 0.9, parameters=head.parameters()),
]

x = paddle.linspace(-2, 2, 128).unsqueeze(1)
y = paddle.sin(3 * x)
for step in range(300):
    loss = nn.functional.mse_loss(head(trunk(x)), y)
    for optimizer in optimizers:
        optimizer.clear_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
with paddle.no_grad():
    print("mean squared error", nn.functional.mse_loss(head(trunk(x)), y).item())
