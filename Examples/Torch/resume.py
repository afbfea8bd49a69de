# Interrupts a training, goes on from its checkpoint, and ends with the same bytes as a training that never
# stopped: weights, optimiser, the order of the batches, and what dropout drops.
import tempfile

import torch
from torch import nn


class Trainer:
    def __init__(self):
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-2)
        self.shuffling = torch.Generator().manual_seed(3)
        self.epoch = 0

    def train(self, epochs):
        while self.epoch < epochs:
            for rows in torch.randperm(256, generator=self.shuffling).split(32):
                self.loss = nn.functional.mse_loss(self.network(x[rows]), y[rows])
                self.optimizer.zero_grad()
                self.loss.backward()
                self.optimizer.step()
            self.epoch += 1

    def save(self, path):
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "shuffling": self.shuffling.get_state(),
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
        }
        torch.save(state, path)

    def restore(self, path):
        state = torch.load(path)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.shuffling.set_state(state["shuffling"])
        torch.set_rng_state(state["random"])
        self.epoch = state["epoch"]


torch.manual_seed(2)
x = torch.randn(256, 4)
y = x.square().sum(1, keepdim=True)
folder = tempfile.mkdtemp()

uninterrupted = Trainer()
uninterrupted.train(epochs=10)

first = Trainer()
first.train(epochs=4)
first.save(folder + "/checkpoint")

second = Trainer()
second.restore(folder + "/checkpoint")
second.train(epochs=10)

pairs = zip(uninterrupted.network.parameters(), second.network.parameters())
same = all(torch.equal(a, b) for a, b in pairs)
print("loss", second.loss.item(), "same bytes", int(same))
