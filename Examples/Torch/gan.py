# A generative adversarial network (Goodfellow et al., 2014): a forger learns to make points like the real ones,
# which lie around (2, -1), from an expert that learns to tell them apart.
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits


def perceptron(out_features):
    return nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, out_features))


torch.manual_seed(1)
forger, expert = perceptron(2), perceptron(1)
forger_optimizer = torch.optim.Adam(forger.parameters(), lr=2e-3, betas=(0.5, 0.999))
expert_optimizer = torch.optim.Adam(expert.parameters(), lr=4e-3, betas=(0.5, 0.999))
centre, yes, no = torch.tensor([2.0, -1.0]), torch.ones(64, 1), torch.zeros(64, 1)

for step in range(600):
    real = 0.5 * torch.randn(64, 2) + centre
    fake = forger(torch.randn(64, 2))
    on_real = binary_cross_entropy_with_logits(expert(real), yes)
    on_fake = binary_cross_entropy_with_logits(expert(fake.detach()), no)
    expert_optimizer.zero_grad()
    (on_real + on_fake).backward()
    expert_optimizer.step()
    forger_loss = binary_cross_entropy_with_logits(expert(fake), yes)
    forger_optimizer.zero_grad()
    forger_loss.backward()
    forger_optimizer.step()

with torch.no_grad():
    forged = forger(torch.randn(1000, 2))
print("forged points lie around", forged.mean(0))
print("which is off by", (forged.mean(0) - centre).norm().item())
