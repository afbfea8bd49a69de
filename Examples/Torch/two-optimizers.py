# Two optimisers in one training: the trunk by AdamW, the head by gradient descent with momentum. They learn a
# sine.
import torch
from torch import nn

torch.manual_seed(1)
trunk, head = nn.Sequential(nn.Linear(1, 64), nn.Tanh()), nn.Linear(64, 1)
optimizers = [
    torch.optim.AdamW(trunk.parameters(), lr=2e-2),
    torch.optim.SGD(head.parameters(), lr=1e-2, momentum=0.9),
]

x = torch.linspace(-2, 2, 128).unsqueeze(1)
y = torch.sin(3 * x)
for step in range(300):
    loss = nn.functional.mse_loss(head(trunk(x)), y)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
with torch.no_grad():
    print("mean squared error", nn.functional.mse_loss(head(trunk(x)), y).item())
