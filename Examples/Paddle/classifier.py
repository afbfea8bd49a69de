# Trains a classifier of one table's rows on most of them, and tries it on the others.
import csv
import sys

import paddle
from paddle import nn

rows = list(csv.reader(open(sys.argv[1])))[1:]
x = paddle.to_tensor([[float(field) for field in row[:-1]] for row in rows])
y = paddle.to_tensor([int(row[-1] == "malignant") for row in rows])
z = (x - x.mean(0)) / x.std(0, unbiased=False)

paddle.seed(1)
network = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = paddle.optimizer.AdamW(1e-2, parameters=network.parameters())
for step in range(50):
    loss = nn.functional.cross_entropy(network(z[:450]), y[:450])
    optimizer.clear_grad()
    loss.backward()
    optimizer.step()

with paddle.no_grad():
    accuracy = (network(z[450:]).argmax(1) == y[450:]).astype("float32").mean().item()
print("accuracy", accuracy)
