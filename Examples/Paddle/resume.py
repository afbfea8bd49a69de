# Interrupts a training, goes on from its checkpoint, and ends with the same bytes as a training that never
# stopped: weights, optimiser, the order of the batches, and what dropout drops.
import tempfile

import paddle
from paddle import nn


class Trainer:
    def __init__(self):
        paddle.seed(1)
        paddle.utils.unique_name.switch()
        self.network = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))
        self.optimizer = paddle.optimizer.AdamW(1e-2, parameters=self.network.parameters())
        self.epoch = 0

    def train(self, epochs):
        while self.epoch < epochs:
            for rows in paddle.randperm(256).split(8):
                self.loss = nn.functional.mse_loss(self.network(x[rows]), y[rows])
                self.optimizer.clear_grad()
                self.loss.backward()
                self.optimizer.step()
            self.epoch += 1

    def save(self, path):
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": paddle.get_rng_state(),
            "epoch": self.epoch,
        }
        paddle.save(state, path)

    def restore(self, path):
        state = paddle.load(path)
        self.network.set_state_dict(state["network"])
        self.optimizer.set_state_dict(state["optimizer"])
        paddle.set_rng_state(state["random"])
        self.epoch = state["epoch"]


paddle.seed(2)
x = paddle.randn([256, 4])
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
same = all(bool((a == b).all()) for a, b in pairs)
print("loss", second.loss.item(), "same bytes", int(same))
