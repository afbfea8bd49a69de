"""Writes the directories below Networks: small torch networks as ONNX, each with inputs and torch's own answer to them.

    pip install torch onnx
    python3 networks.py Networks
"""

import os
import sys

import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.conv2, self.norm2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
        self.short = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.short(x))


class ResNet(nn.Module):
    """ResNet-18 by default."""

    def __init__(self, widths=(64, 128, 256, 512), blocks=2, classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        layers, width = [], widths[0]
        for stage, outer in enumerate(widths):
            for block in range(blocks):
                layers.append(Block(width, outer, 2 if block == 0 and stage > 0 else 1))
                width = outer
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(width, classes)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(0, 0.1)
                norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.layers(self.stem(x)), 1), 1))


class Attention(nn.Module):
    def __init__(self, width, heads, fused):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.heads, self.fused = heads, fused

    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = (part(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2) for part in (self.q, self.k, self.v))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = torch.softmax(q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5 + mask, -1) @ v
        return self.o(y.transpose(1, 2).contiguous().view(batch, length, width))


class Encoder(nn.Module):
    """The shape of BERT and MiniLM; the latter's sizes by default."""

    def __init__(self, words=30522, width=384, heads=12, layers=6, inner=1536, places=512, fused=False, pool="mean"):
        super().__init__()
        self.word, self.place, self.kind = nn.Embedding(words, width), nn.Embedding(places, width), nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(width, heads, fused), nn.LayerNorm(width, eps=1e-12), nn.Linear(width, inner), nn.Linear(inner, width), nn.LayerNorm(width, eps=1e-12)])
            for _ in range(layers)
        )
        self.register_buffer("places", torch.arange(places)[None])
        self.pool, self.fused = pool, fused

    def forward(self, input_ids, attention_mask):
        batch, length = input_ids.shape
        x = self.norm(self.word(input_ids) + self.place(self.places[:, :length]) + self.kind(torch.zeros_like(input_ids)))
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        if self.fused:
            mask = mask.expand(batch, 1, length, length)
        for attention, norm1, up, down, norm2 in self.layers:
            x = norm1(x + attention(x, mask))
            x = norm2(x + down(F.gelu(up(x))))
        if self.pool == "first":
            return x[:, 0]
        counts = attention_mask[:, :, None].to(x.dtype).expand(x.size())
        return F.normalize((x * counts).sum(1) / counts.sum(1).clamp(min=1e-9), dim=-1)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.layer, self.head = nn.Embedding(50, 8), nn.LSTM(8, 6, bidirectional=True, batch_first=True), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.layer(self.words(x))[0].mean(1))


class Decoder(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.words, self.attention, self.norm, self.head = nn.Embedding(40, width), Attention(width, 2, False), nn.LayerNorm(width), nn.Linear(width, 40)

    def forward(self, x):
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        y = self.words(x) + torch.arange(length)[None, :, None] * 0.01
        return self.head(self.norm(y + self.attention(y, mask)))[:, -1]


class VisionTransformer(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.first, self.places = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 17, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True, norm_first=True, activation="gelu")
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.first.expand(x.shape[0], -1, -1), y], 1) + self.places
        return self.head(self.layer(y)[:, 0])


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 4, 2, 2), nn.Conv2d(7, 2, 3, padding=1)

    def forward(self, x):
        y = torch.relu(self.down(x))
        z = F.interpolate(F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False), size=x.shape[2:], mode="nearest")
        return self.head(torch.cat([self.up(y) + z, x], 1))


def write(folder, name, model, inputs, axes, opset=17):
    """`axes`: the names of each input's open axes."""
    path = os.path.join(folder, name)
    os.makedirs(f"{path}/test_data_set_0", exist_ok=True)
    model.eval()
    with torch.no_grad():
        answer = model(*inputs.values())
    torch.onnx.export(
        model, tuple(inputs.values()), f"{path}/model.onnx", input_names=list(inputs), output_names=["output"], opset_version=opset, dynamo=False,
        dynamic_axes={**{key: axes for key in inputs}, "output": {axis: name for axis, name in axes.items() if name != "sequence"}},
    )
    for place, (key, value) in enumerate(inputs.items()):
        with open(f"{path}/test_data_set_0/input_{place}.pb", "wb") as file:
            file.write(numpy_helper.from_array(value.numpy(), key).SerializeToString())
    with open(f"{path}/test_data_set_0/output_0.pb", "wb") as file:
        file.write(numpy_helper.from_array(answer.numpy(), "output").SerializeToString())
    print(name, os.path.getsize(f"{path}/model.onnx"), "bytes")


def words(batch, length, count):
    return torch.randint(0, count, (batch, length))


def sentences(batch, length, count):
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[0, length - 2 :] = 0
    return {"input_ids": words(batch, length, count), "attention_mask": mask}


def main(folder):
    torch.manual_seed(0)
    batch, sequence, picture = {0: "batch"}, {0: "batch", 1: "sequence"}, {0: "batch", 2: "height", 3: "width"}
    small = dict(words=30, width=16, heads=2, layers=1, inner=24, places=24)
    write(folder, "resnet", ResNet((8, 12), 1, 5), {"input": torch.randn(2, 3, 32, 32)}, batch)
    write(folder, "bert_plain", Encoder(**small), sentences(2, 7, 30), sequence)
    write(folder, "bert_sdpa", Encoder(fused=True, **small), sentences(2, 7, 30), sequence)
    write(folder, "bert_cls", Encoder(pool="first", **small), sentences(2, 7, 30), sequence)
    write(folder, "lstm", Tagger(), {"tokens": words(3, 6, 50)}, batch)
    write(folder, "lstm_open", Tagger(), {"tokens": words(3, 6, 50)}, sequence)
    write(folder, "decoder", Decoder(), {"tokens": words(2, 5, 40)}, sequence)
    write(folder, "vit", VisionTransformer(), {"input": torch.randn(2, 3, 16, 16)}, batch)
    write(folder, "unet", UNet(), {"input": torch.randn(2, 3, 16, 16)}, batch)
    write(folder, "unet_open", UNet(), {"input": torch.randn(2, 3, 16, 16)}, picture)


if __name__ == "__main__":
    main(sys.argv[1])
