#!/usr/bin/env python3
"""Writes golden_half.safetensors: PyTorch's casts to half floats, its table of promotions, and a small network in each half float with its
gradients. golden_file.py says how they are stored.
usage: golden_half.py > golden_half.safetensors        needs: pip install torch numpy"""
import numpy as np
import torch
from golden_file import drawn, store, write

ends = [0.0, -0.0, 1.0, 65504.0, 65519.99, 65520.0, 1e5, 3.3895e38, 3.39e38, 3.4e38, 6e-8, 2.98e-8, 2.99e-8, 6.1e-5, 9.2e-41, 4.6e-41, np.inf, -np.inf, np.nan]
bits = np.random.RandomState(7).randint(0, 0x7f800000, 200).astype(np.uint32)  # of any size
x = torch.from_numpy(np.concatenate([np.array(ends, np.float32), bits.view(np.float32), -np.linspace(0, 3, 80, dtype=np.float32)]))
store("cast/in", x)
whole = torch.tensor([0, -1, 255, 257, 259, 2049, 65519, 65520, 10**12, -10**12, 2**24 + 1])
store("whole/in", whole)
for name, dtype in [("bfloat16", torch.bfloat16), ("float16", torch.float16)]:
    store(f"cast/{name}", x.to(dtype))
    store(f"whole/{name}", whole.to(dtype))

# In the order of DType.allCases.
kinds = [torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8, torch.bool, torch.bfloat16, torch.float16]
store("promotion", np.array([[kinds.index(torch.promote_types(a, b)) for b in kinds] for a in kinds]))

for name, dtype in [("bfloat16", torch.bfloat16), ("float16", torch.float16)]:
    given = [
        drawn("half/x", 6, 8), drawn("half/w1", 12, 8, low=-0.5, high=0.5), drawn("half/b1", 12), drawn("half/scale", 12, low=0.5, high=1.5),
        drawn("half/shift", 12), drawn("half/w2", 4, 12, low=-0.5, high=0.5), drawn("half/b2", 4),
    ]
    v = [t.to(dtype).requires_grad_() for t in given]
    labels = torch.tensor([0, 1, 2, 3, 2, 1])
    hidden = torch.nn.functional.gelu(torch.nn.functional.linear(v[0], v[1], v[2]))
    logits = torch.nn.functional.linear(torch.nn.functional.layer_norm(hidden, [12], v[3], v[4]), v[5], v[6])
    loss = torch.nn.functional.cross_entropy(logits, labels)
    store(f"{name}/labels", labels)
    store(f"{name}/logits", logits)
    store(f"{name}/loss", loss)
    for i, (t, gradient) in enumerate(zip(v, torch.autograd.grad(loss, v))):
        store(f"{name}/in{i}", t)
        store(f"{name}/grad{i}", gradient)
write()
