# A recurrent network over sequences of unequal length: what was the sign of the first number? It has to be
# remembered to the end of each sequence, not of the padding.
import random

import paddle
from paddle import nn


class SignMemory(nn.Layer):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(1, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, x, lengths):
        _, (h, _) = self.memory(x, sequence_length=lengths)
        return self.head(h[0])


def make_sequences(count):
    lengths = paddle.to_tensor([random.randint(2, 12) for _ in range(count)])
    x = paddle.randn([count, 12, 1]) * nn.functional.sequence_mask(lengths, 12, "float32").unsqueeze(2)
    return x, lengths, (x[:, 0, 0] > 0).astype("int64")


random.seed(1)
paddle.seed(1)
network = SignMemory()
optimizer = paddle.optimizer.AdamW(2e-2, parameters=network.parameters())
x, lengths, signs = make_sequences(256)
for step in range(80):
    loss = nn.functional.cross_entropy(network(x, lengths), signs)
    optimizer.clear_grad()
    loss.backward()
    optimizer.step()

x, lengths, signs = make_sequences(100)
with paddle.no_grad():
    accuracy = (network(x, lengths).argmax(1) == signs).astype("float32").mean().item()
print("accuracy", accuracy)
