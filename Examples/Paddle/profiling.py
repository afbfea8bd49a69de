# What a network costs: each layer's parameters, operations and memory, and each operator's time in a training step, as
# tables and as a trace for chrome://tracing.
import tempfile

import paddle
from paddle import nn, profiler

paddle.seed(1)
network = nn.Sequential(
    nn.Conv2D(3, 16, 3, padding=1), nn.BatchNorm2D(16), nn.ReLU(), nn.MaxPool2D(2),
    nn.Conv2D(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2D(1), nn.Flatten(),
    nn.Linear(32, 10),
)  # fmt: skip
optimizer = paddle.optimizer.AdamW(1e-3, parameters=network.parameters())
x, labels = paddle.randn([8, 3, 32, 32]), paddle.arange(8)
costs = paddle.summary(network, input=x)

trace = profiler.export_chrome_tracing(tempfile.mkdtemp())
with profiler.Profiler(targets=[profiler.ProfilerTarget.CPU], on_trace_ready=trace) as operators:
    loss = nn.functional.cross_entropy(network(x), labels)
    optimizer.clear_grad()
    loss.backward()
    optimizer.step()
operators.summary(op_detail=True, time_unit="ms")
print("parameters", costs["trainable_params"])
