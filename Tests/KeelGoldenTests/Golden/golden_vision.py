#!/usr/bin/env python3
"""Writes golden_vision.safetensors: what PyTorch and torchvision make, in float64, of Keel's normalisation, pooling, convolution,
interpolation and detection.
usage: golden_vision.py > golden_vision.safetensors        needs: pip install torch torchvision numpy
golden_file.py says how they are stored."""
import torch
import torch.nn.functional as F
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss, sigmoid_focal_loss
from torchvision.ops.roi_align import _roi_align  # the same as roi_align, in PyTorch's own operators
from golden_file import case, drawn, write

case("atan", [drawn("atan", 21, low=-6, high=6)], torch.atan)

def norm(name, *shape): return [drawn(name, *shape), drawn(name + "b", shape[1], low=0.5, high=2), drawn(name + "c", shape[1])]
case("groupNorm", norm("groupNorm", 2, 6, 4, 2), lambda x, s, b: F.group_norm(x, 3, s, b, eps=1e-3))
case("instanceNorm", norm("instanceNorm", 2, 5, 4), lambda x, s, b: F.instance_norm(x, weight=s, bias=b, eps=1e-3))
case("rmsNorm", [drawn("rmsNorm", 2, 3, 7), drawn("rmsNormb", 7, low=0.5, high=2)], lambda x, s: F.rms_norm(x, (7,), s, eps=1e-3))

case("adaptiveMaxPool", [drawn("adaptiveMaxPool", 2, 3, 7, 5)], lambda x: F.adaptive_max_pool2d(x, (3, 2)))
case("adaptiveAveragePool", [drawn("adaptiveAveragePool", 2, 3, 7, 5)], lambda x: F.adaptive_avg_pool2d(x, (3, 2)))
case("maxPool1D", [drawn("maxPool1D", 2, 3, 9)], lambda x: F.max_pool1d(x, 3, 2, 1))
case("averagePool1D", [drawn("averagePool1D", 2, 3, 9)], lambda x: F.avg_pool1d(x, 3, 2, 1))

case("convTranspose", [drawn("convTranspose", 2, 3, 4, 3), drawn("convTransposeb", 3, 5, 3, 3, low=-1, high=1), drawn("convTransposec", 5)],
     lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1))
case("convTransposeGrouped", [drawn("convTransposeGrouped", 1, 4, 4, 3), drawn("convTransposeGroupedb", 4, 3, 3, 2, low=-1, high=1)],
     lambda x, w: F.conv_transpose2d(x, w, output_padding=1, dilation=2, groups=2))
case("conv1D", [drawn("conv1D", 2, 4, 9), drawn("conv1Db", 6, 2, 3, low=-1, high=1), drawn("conv1Dc", 6)],
     lambda x, w, b: F.conv1d(F.pad(x, (4, 0)), w, b, dilation=2, groups=2))
case("convTranspose1D", [drawn("convTranspose1D", 2, 3, 5), drawn("convTranspose1Db", 3, 4, 3, low=-1, high=1)],
     lambda x, w: F.conv_transpose1d(x, w, stride=3, padding=1, output_padding=2))

for name, mode, corners in [("resizeLinear", "bilinear", False), ("resizeAligned", "bilinear", True), ("resizeNearest", "nearest", None), ("resizeNearestExact", "nearest-exact", None)]:
    case(name, [drawn(name, 1, 2, 4, 5)], lambda x: F.interpolate(x, (7, 3), mode=mode, align_corners=corners))

regions = torch.tensor([[0, 0.5, 1, 6.5, 5], [1, 0.5, 0, 2, 3.25], [1, 3, 1, 6, 5], [0, 2, 2, 2.5, 2.25]], dtype=torch.float64)  # none beyond the picture, where torchvision's two forms differ
case("regionAlign", [drawn("regionAlign", 2, 3, 6, 7)], lambda x: _roi_align(x, regions, 0.5, 2, 3, 2, True))
case("regionAlignAdaptive", [drawn("regionAlignAdaptive", 2, 3, 6, 7)], lambda x: _roi_align(x, regions, 1, 2, 3, -1, False))

def corners(boxes):
    half = boxes[:, 2:].abs() / 2 + 0.2
    return torch.cat([boxes[:, :2] - half, boxes[:, :2] + half], 1)
for name, loss in [("boxGeneralized", generalized_box_iou_loss), ("boxDistance", distance_box_iou_loss), ("boxComplete", complete_box_iou_loss)]:
    case(name, [drawn(name, 6, 4), drawn(name + "b", 6, 4)], lambda a, b: loss(corners(a), corners(b)))

case("sigmoidFocal", [drawn("sigmoidFocal", 4, 3, low=-4, high=4), drawn("sigmoidFocalb", 4, 3, low=0.1, high=0.9)], sigmoid_focal_loss)
case("softmaxFocal", [drawn("softmaxFocal", 6, 4), torch.tensor([0, 3, 2, 1, 3, 0])],
     lambda x, t: ((1 - x.softmax(1).gather(1, t[:, None])) ** 1.5 * F.cross_entropy(x, t, reduction="none")[:, None]).mean())
case("dice", [drawn("dice", 2, 3, 4, 2, low=0.05, high=0.95), drawn("diceb", 2, 3, 4, 2, low=0.05, high=0.95)],
     lambda p, t: 1 - ((2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)).mean())

write()
