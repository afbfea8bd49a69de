# Gradients of gradients: a network learns the swing of a pendulum from its equation u'' = -u alone, with u(0) =
# 0 and u'(0) = 1. Nobody shows it the solution, which is a sine.
import torch
from torch import nn

torch.manual_seed(1)
network = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
t = torch.linspace(0, 2, 32).unsqueeze(1).requires_grad_()

for step in range(500):
    u = network(t)
    velocity = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
    acceleration = torch.autograd.grad(velocity.sum(), t, create_graph=True)[0]
    start = u[0].square() + (velocity[0] - 1).square()
    loss = (acceleration + u).square().mean() + start.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    print("largest error", (network(t) - t.sin()).abs().max().item())
