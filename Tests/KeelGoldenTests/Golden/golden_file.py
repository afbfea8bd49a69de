"""How the golden values are made and stored, for golden.py and its like.

A case NAME is NAME/in0, in1, ...; NAME/out; the gradient of `out` that was sent back, NAME/seed; and what arrived at
each float input, NAME/grad0, grad1, .... Everything is stored as float32 (indices as int64, torch's half floats as they are): inputs are
rounded before they are used."""
import json, struct, sys
import numpy as np
import torch

stored = {}
halves = {torch.bfloat16: "BF16", torch.float16: "F16"}

def store(name, value):
    if isinstance(value, torch.Tensor) and value.dtype in halves:
        stored[name] = value.detach()
        return
    value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    stored[name] = value.astype(np.int64) if value.dtype == np.int64 else value.astype(np.float32)

def drawn(name, *shape, low=-2.0, high=2.0):
    """Numbers that depend on the name alone, exact in float32, none within 0.01 of another nor of 0: no ties, no kinks."""
    count = int(np.prod(shape))
    rng = np.random.RandomState(sum(ord(c) * (i + 1) for i, c in enumerate(name)))
    steps = (np.arange(count) + 0.5 + 0.4 * rng.uniform(-1, 1, count)) / max(count, 1)
    return torch.from_numpy(rng.permutation(low + (high - low) * steps).astype(np.float32).reshape(shape).astype(np.float64))

def case(name, inputs, function):
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    for i, x in enumerate(leaves): store(f"{name}/in{i}", x)
    out = function(*leaves)
    seed = drawn(name + "/seed", *out.shape, low=-1, high=1)
    store(f"{name}/out", out)
    store(f"{name}/seed", seed)
    wanted = [x for x in leaves if x.is_floating_point()]
    for i, gradient in enumerate(torch.autograd.grad(out, wanted, seed)): store(f"{name}/grad{i}", gradient)

def write():
    """Writes all that was stored to standard output, as safetensors."""
    header, at, bodies = {}, 0, []
    for name, value in stored.items():
        code = halves.get(value.dtype) or ("I64" if value.dtype == np.int64 else "F32")
        header[name] = {"dtype": code, "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        bodies.append(np.ascontiguousarray(value.view(torch.int16).numpy() if code in halves.values() else value).tobytes())
        at += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    sys.stdout.buffer.write(struct.pack("<Q", len(text)) + text + b"".join(bodies))
