# A recurrent network over sequences of unequal length: what was the sign of the first number? It has to be
# remembered to the end of each sequence, not of the padding.
import random

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class SignMemory(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(1, 16, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.memory(packed)
        return self.head(h[0])


def make_sequences(count):
    sequences = [torch.randn(random.randint(2, 12), 1) for _ in range(count)]
    x = pad_sequence(sequences, batch_first=True)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return x, lengths, (x[:, 0, 0] > 0).long()


random.seed(1)
torch.manual_seed(1)
network = SignMemory()
optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
x, lengths, signs = make_sequences(256)
for step in range(80):
    loss = nn.functional.cross_entropy(network(x, lengths), signs)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

x, lengths, signs = make_sequences(100)
with torch.no_grad():
    accuracy = (network(x, lengths).argmax(1) == signs).float().mean().item()
print("accuracy", accuracy)
