# A loss of one's own: the logarithm of the hyperbolic cosine, which outliers hardly move. Every tenth target is
# off by 20.
import math

import paddle
from paddle import nn


def log_cosh(predictions, targets):
    """Mean of `log(cosh(predictions - targets))`, as `e + softplus(-2e) - log 2`, which doesn't overflow."""
    error = predictions - targets
    return (error + nn.functional.softplus(-2 * error) - math.log(2)).mean()


paddle.seed(1)
x = paddle.randn([400, 1])
outliers = paddle.bernoulli(paddle.full([400, 1], 0.1)) * 20
y = 2 * x + 1 + 0.1 * paddle.randn([400, 1]) + outliers

line = nn.Linear(1, 1)
optimizer = paddle.optimizer.AdamW(5e-2, parameters=line.parameters(), weight_decay=0.0)
for step in range(200):
    loss = log_cosh(line(x), y)
    optimizer.clear_grad()
    loss.backward()
    optimizer.step()
print("slope", line.weight.item(), "shift", line.bias.item())
