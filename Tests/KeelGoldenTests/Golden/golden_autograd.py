#!/usr/bin/env python3
"""Writes golden_autograd.safetensors: what PyTorch makes, in float64, of gradients at corners, of second derivatives and of forward mode.
golden_file.py says how they are stored.
usage: golden_autograd.py > golden_autograd.safetensors        needs: pip install torch numpy"""
import torch
from golden_file import case, drawn, write

case("norm", [drawn("norm", 3, 4)], lambda x: x.norm())
case("clippedToNorm", [drawn("clippedToNorm", 7)], lambda x: x * (1.5 / x.norm()).clamp(max=1))
corners = [torch.tensor([0.0, 0, 0, 2, 3, 0.5]).double(), torch.tensor([0.0, 1, 2, 0, -1, 2]).double()]
case("powerCorners", corners, lambda a, b: a.pow(b))
case("powerOfNegative", [torch.tensor([-2.0, -0.5, 0, 1.5]).double()], lambda x: x.pow(3))

def gradient(f, x): return torch.autograd.grad(f(x).sum(), x, create_graph=True)[0]
case("gradientOfSoftmax", [drawn("gradientOfSoftmax", 3, 5)], lambda x: gradient(lambda x: x.softmax(1).square(), x))
case("gradientOfProduct", [drawn("gradientOfProduct", 3, 4), drawn("gradientOfProductb", 4, 2)],
     lambda a, b: gradient(lambda a: torch.tanh(a @ b).square(), a))
case("gradientOfNorm", [drawn("gradientOfNorm", 6)], lambda x: gradient(lambda x: x.norm(), x))

def along(f, *primals): return torch.func.jvp(f, primals[:len(primals) // 2], primals[len(primals) // 2:])[1]
case("tangentOfTanh", [drawn("tangentOfTanh", 3, 4), drawn("tangentOfTanhv", 3, 4)], lambda x, v: along(torch.tanh, x, v))
case("tangentOfProduct", [drawn("tangentOfProduct" + n, *s) for n, s in [("a", (3, 4)), ("b", (4, 2)), ("va", (3, 4)), ("vb", (4, 2))]],
     lambda a, b, va, vb: along(lambda a, b: (a @ b).exp() / (1 + (a @ b).square()), a, b, va, vb))
case("tangentOfLayerNorm", [drawn("tangentOfLayerNorm", 3, 5), drawn("tangentOfLayerNormv", 3, 5)],
     # Written out: torch 2.13's own layer_norm has a tangent whose gradient takes mean and variance for constants.
     lambda x, v: along(lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-3).sqrt(), x, v))
write()
