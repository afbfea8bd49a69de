# What a network costs: each layer's parameters, operations and memory, and each operator's time in a training
# step, as tables and as a trace for chrome://tracing.
import tempfile

import torch
from torch import nn
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

torch.manual_seed(1)
network = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    nn.Linear(32, 10),
)  # fmt: skip
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
x, labels = torch.randn(8, 3, 32, 32), torch.arange(8)


def report(layer, inputs, output):
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    print(f"{layer!s:60} {list(output.shape)!s:20} {parameters:8} {output.nbytes:10}")


hooks = [layer.register_forward_hook(report) for layer in network]
with torch.no_grad(), FlopCounterMode(display=False) as flops:
    network(x)
print("FLOPs", flops.get_total_flops())
for hook in hooks:
    hook.remove()

with profile() as operators:
    loss = nn.functional.cross_entropy(network(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(operators.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))
operators.export_chrome_trace(tempfile.mkdtemp() + "/step.json")
print("parameters", sum(parameter.numel() for parameter in network.parameters()))
