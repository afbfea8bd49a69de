#!/usr/bin/env python3
"""Writes golden_conv.safetensors: what PyTorch makes, in float64, of batch normalisation with an addend and a rectifier, and of depthwise convolution.
usage: golden_conv.py > golden_conv.safetensors        needs: pip install torch numpy
golden_file.py says how they are stored."""
import torch.nn.functional as F
from golden_file import case, drawn, write

def norm(name, *shape): return [drawn(name, *shape), drawn(name + "b", shape[1], low=0.5, high=3), drawn(name + "c", shape[1])]
def normed(x, s, b): return F.batch_norm(x, None, None, s, b, training=True, eps=1e-3)
case("batchNormRelu6", norm("batchNormRelu6", 3, 9, 4, 2), lambda x, s, b: F.relu6(normed(x, s * 2, b * 2)))
case("batchNormAdded", norm("batchNormAdded", 3, 5, 4, 2) + [drawn("batchNormAddedd", 3, 5, 4, 2)], lambda x, s, b, a: F.relu(normed(x, s, b) + a))

case("depthwiseWide", [drawn("depthwiseWide", 2, 9, 8, 7), drawn("depthwiseWideb", 9, 1, 5, 5, low=-1, high=1)],
     lambda x, w: F.conv2d(x, w, stride=2, padding=2, groups=9))

write()
