#!/usr/bin/env python3
"""Writes golden_functions.safetensors: what PyTorch makes, in float64, of functions of numbers and of what sums them up. golden_file.py says how
they are stored.
usage: golden_functions.py > golden_functions.safetensors        needs: pip install torch numpy"""
import torch
from golden_file import case, drawn, write

for name, function in [
    ("expm1", torch.expm1), ("sine", torch.sin), ("cosine", torch.cos), ("tangent", lambda x: torch.tan(x / 2)), ("hyperbolicSine", torch.sinh),
    ("hyperbolicCosine", torch.cosh), ("floor", torch.floor), ("ceil", torch.ceil), ("rounded", torch.round), ("truncated", torch.trunc),
    ("arcsine", lambda x: torch.asin(x / 2.5)), ("arccosine", lambda x: torch.acos(x / 2.5)), ("log1p", lambda x: torch.log1p(x / 2.5)),
]: case(name, [drawn(name, 3, 4)], function)
case("arctangent2", [drawn("arctangent2", 3, 4), drawn("arctangent2b", 3, 4)], torch.atan2)
case("remainder", [drawn("remainder", 3, 4, low=-5, high=5), drawn("remainderb", 4)], torch.remainder)
case("variance", [drawn("variance", 2, 3, 4)], lambda x: x.var((0, 2), correction=1))
case("standardDeviation", [drawn("standardDeviation", 2, 3, 4)], lambda x: x.std((1,), correction=0, keepdim=True))
zeros = drawn("product", 2, 3, 4)
zeros[0, 1, 2] = 0
case("product", [zeros], lambda x: x.prod(2).prod(0))
case("quantile", [drawn("quantile", 3, 7)], lambda x: x.quantile(0.3, 1))
case("median", [drawn("median", 6, 3)], lambda x: x.quantile(0.5, 0))
case("cumulativeMax", [drawn("cumulativeMax", 3, 7)], lambda x: x.cummax(1).values)
case("cumulativeMin", [drawn("cumulativeMin", 7, 3)], lambda x: x.cummin(0).values)
write()
