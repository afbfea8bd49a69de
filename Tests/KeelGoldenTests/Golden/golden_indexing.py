#!/usr/bin/env python3
"""Writes golden_indexing.safetensors: what PyTorch makes, in float64, of gathering, scattering, ordering, running sums, masks, padding,
rearranging and einsum. golden_file.py says how they are stored.
usage: golden_indexing.py > golden_indexing.safetensors        needs: pip install torch numpy"""
import torch
import torch.nn.functional as F
from golden_file import case, drawn, write

rows = torch.tensor([[4, 0, 2], [1, 1, 3]])
case("takeAlong", [drawn("takeAlong", 2, 5), rows], lambda x, i: x.gather(1, i))
twice = torch.tensor([[4, 0, 2, 4], [1, 1, 3, 1]])
for name, reduce in [("scatterAdd", "sum"), ("scatterMultiply", "prod"), ("scatterMaximum", "amax"), ("scatterMinimum", "amin")]:
    case(name, [drawn(name, 2, 5), drawn(name + "b", 2, 4), twice], lambda x, u, i: x.scatter_reduce(1, i, u, reduce))
case("scatterSet", [drawn("scatterSet", 2, 5), drawn("scatterSetb", 2, 3), torch.tensor([[4, 0, 2], [1, 0, 3]])], lambda x, u, i: x.scatter(1, i, u))
case("scatterParts", [drawn("scatterParts", 5, 3), drawn("scatterPartsb", 4, 3), torch.tensor([4, 0, 4, 1])], lambda x, u, i: x.index_add(0, i, u))
case("topK", [drawn("topK", 2, 50)], lambda x: x.topk(4).values)
case("topKSmallest", [drawn("topKSmallest", 6, 3)], lambda x: x.topk(2, dim=0, largest=False).values)
case("sort", [drawn("sort", 3, 7)], lambda x: x.sort().values)
case("sortDescending", [drawn("sortDescending", 7, 2)], lambda x: x.sort(0, descending=True).values)
case("argSort", [drawn("argSort", 3, 7)], lambda x: x.argsort(stable=True).double() * x)
case("cumulativeSum", [drawn("cumulativeSum", 2, 6, 3)], lambda x: x.cumsum(1))
case("cumulativeSumReversed", [drawn("cumulativeSumReversed", 2, 6)], lambda x: x.flip(1).cumsum(1).flip(1) - x)
case("cumulativeProduct", [drawn("cumulativeProduct", 2, 6)], lambda x: x.cumprod(1))

def recurrence(a, b):
    states = [b[:, 0]]
    for i in range(1, b.shape[1]): states.append(a[:, i] * states[-1] + b[:, i])
    return torch.stack(states, 1)
case("recurrence", [drawn("recurrence", 3, 5), drawn("recurrenceb", 3, 5)], recurrence)

case("selected", [drawn("selected", 4, 5)], lambda x: x[x > 0.25])
case("selectedRows", [drawn("selectedRows", 4, 3)], lambda x: F.pad(x[torch.tensor([True, False, False, True])], (0, 0, 0, 1)))
case("padConstant", [drawn("padConstant", 2, 3, 4)], lambda x: F.pad(x, (1, 2, 0, 1), value=0.5))
case("padReflect", [drawn("padReflect", 1, 2, 3, 4)], lambda x: F.pad(x, (3, 1, 2, 2), mode="reflect"))
case("padEdge", [drawn("padEdge", 1, 2, 3, 4)], lambda x: F.pad(x, (3, 5, 2, 0), mode="replicate"))
case("padWrap", [drawn("padWrap", 1, 2, 3, 4)], lambda x: F.pad(x, (3, 1, 0, 2), mode="circular"))
case("flip", [drawn("flip", 2, 3, 4)], lambda x: x.flip(0, 2))
case("roll", [drawn("roll", 3, 5)], lambda x: x.roll(2, 1))
case("split", [drawn("split", 2, 6)], lambda x: x.split([1, 3, 2], 1)[1])
case("tile", [drawn("tile", 2, 3)], lambda x: x.tile(2, 3))
case("repeat", [drawn("repeat", 2, 3)], lambda x: x.repeat_interleave(3, 1))
case("diagonal", [drawn("diagonal", 3, 2, 4)], lambda x: x.diagonal(0, 0, 2))
case("triangles", [drawn("triangles", 4, 5)], lambda x: x.tril(1) + 2 * x.triu(2))
for i, (equation, *shapes) in enumerate([
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)), ("ijij,jk->ik", (2, 3, 2, 3), (3, 4)), ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("...ij,...jk->...ik", (3, 1, 2, 3), (4, 3, 2)), ("abc,cbd,bd->ad", (2, 3, 4), (4, 3, 5), (3, 5)), ("ij,kj", (2, 3), (4, 3)),
]):
    case(f"einsum{i}", [drawn(f"einsum{i}.{j}", *shape) for j, shape in enumerate(shapes)], lambda *x: torch.einsum(equation, *x))
write()
