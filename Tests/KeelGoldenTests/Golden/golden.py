#!/usr/bin/env python3
"""Writes golden.safetensors: what PyTorch makes, in float64, of Keel's primitives, layers and optimisers.
usage: golden.py > golden.safetensors        needs: pip install torch numpy
golden_file.py says how they are stored."""
import torch
import torch.nn.functional as F
from golden_file import case, drawn, store, write

def philox(counter, key):
    """Philox 4x32-10 (Salmon et al., 2011): four words of 32 bits."""
    x, (k0, k1) = list(counter), key
    for _ in range(10):
        a, b = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(b >> 32) ^ x[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ x[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x

def kept(count, rate, key, counter, draw):
    """Which numbers a dropout keeps: those whose 24 random bits, as a fraction, reach the rate."""
    stream = 1 << 63 | draw << 44 | counter
    words = [w for block in range((count + 3) // 4) for w in philox([block, 0, stream & 0xFFFFFFFF, stream >> 32], [key & 0xFFFFFFFF, key >> 32])]
    return torch.tensor([float((w >> 8) * 2.0**-24 >= rate) for w in words[:count]], dtype=torch.float64)

# Primitives.
for name, low, high, function in [
    ("exp", -2, 2, torch.exp), ("log", 0.2, 4, torch.log), ("sqrt", 0.2, 4, torch.sqrt), ("abs", -2, 2, torch.abs), ("sign", -2, 2, torch.sign),
    ("reciprocal", 0.5, 2, torch.reciprocal), ("erf", -2, 2, torch.erf), ("clip", -2, 2, lambda x: x.clamp(-1, 1.5)),
    ("neg", -2, 2, torch.neg), ("scale", -2, 2, lambda x: 3 * x + 1), ("relu", -2, 2, F.relu), ("leakyRelu", -2, 2, lambda x: F.leaky_relu(x, 0.1)),
    ("tanh", -3, 3, torch.tanh), ("sigmoid", -6, 6, torch.sigmoid), ("silu", -6, 6, F.silu), ("gelu", -4, 4, F.gelu),
]:
    case(name, [drawn(name, 21, low=low, high=high)], function)
for name, low, high, function in [
    ("add", -2, 2, torch.add), ("sub", -2, 2, torch.sub), ("mul", -2, 2, torch.mul), ("div", 0.5, 2, torch.div), ("pow", 0.5, 2, torch.pow),
    ("maximum", -2, 2, torch.maximum), ("minimum", -2, 2, torch.minimum),
]:
    case(name, [drawn(name, 2, 3, 5, low=low, high=high), drawn(name + "b", 3, 1, low=low, high=high)], function)
case("where", [drawn("where", 3, 5), drawn("whereb", 5)], lambda a, b: torch.where(a < b, 2 * a, b))
case("transpose", [drawn("transpose", 2, 3, 4)], lambda x: x.permute(2, 0, 1).contiguous())
case("reshape", [drawn("reshape", 3, 4)], lambda x: x.reshape(2, 6))
case("expand", [drawn("expand", 3, 1)], lambda x: x.expand(2, 3, 4))
case("slice", [drawn("slice", 3, 7)], lambda x: x[:, 1:6:2])
case("pad", [drawn("pad", 3, 2)], lambda x: F.pad(x, (2, 1)))
case("concat", [drawn("concat", 2, 3), drawn("concatb", 2, 2)], lambda a, b: torch.cat([a, b, a], 1))
case("sum", [drawn("sum", 2, 3, 4)], lambda x: x.sum((0, 2)))
case("mean", [drawn("mean", 2, 3, 4)], lambda x: x.mean(-1, keepdim=True))
case("max", [drawn("max", 2, 5, 3)], lambda x: x.amax(1))
case("min", [drawn("min", 2, 5, 3)], lambda x: x.amin(1))
case("matmul", [drawn("matmul", 3, 4), drawn("matmulb", 4, 5)], torch.matmul)
case("matmulStack", [drawn("matmulStack", 2, 3, 4), drawn("matmulStackb", 2, 4, 2)], torch.matmul)
case("affine", [drawn("affine", 2, 3, 5), drawn("affineb", 4, 5), drawn("affinec", 4)], F.linear)
case("conv", [drawn("conv", 2, 3, 6, 5), drawn("convb", 9, 3, 3, 3, low=-1, high=1), drawn("convc", 9)],
     lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1))
case("convGrouped", [drawn("convGrouped", 1, 6, 7, 6), drawn("convGroupedb", 4, 3, 2, 3, low=-1, high=1)],
     lambda x, w: F.conv2d(x, w, padding=1, dilation=2, groups=2))
case("convDepthwise", [drawn("convDepthwise", 1, 9, 5, 5), drawn("convDepthwiseb", 9, 1, 3, 3, low=-1, high=1)],
     lambda x, w: F.conv2d(x, w, padding=1, groups=9))
case("maxPool", [drawn("maxPool", 2, 3, 6, 5)], lambda x: F.max_pool2d(x, 3, 2, 1))
case("averagePool", [drawn("averagePool", 2, 3, 6, 5)], lambda x: F.avg_pool2d(x, 3, 2, 1))
case("averagePoolInside", [drawn("averagePoolInside", 2, 3, 6, 5)], lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
case("batchNorm", [drawn("batchNorm", 3, 5, 4, 2), drawn("batchNormb", 5, low=0.5, high=2), drawn("batchNormc", 5)],
     lambda x, s, b: F.batch_norm(x, None, None, s, b, training=True, eps=1e-3))
case("channelAffine", [drawn("channelAffine", 2, 5, 3), drawn("channelAffineb", 5), drawn("channelAffinec", 5)],
     lambda x, f, s: x * f[:, None] + s[:, None])
case("layerNorm", [drawn("layerNorm", 2, 3, 7), drawn("layerNormb", 7, low=0.5, high=2), drawn("layerNormc", 7)],
     lambda x, s, b: F.layer_norm(x, (7,), s, b, eps=1e-3))
case("softmax", [drawn("softmax", 3, 5)], lambda x: x.softmax(-1))
case("logSoftmax", [drawn("logSoftmax", 3, 5)], lambda x: x.log_softmax(0))
case("gather", [drawn("gather", 5, 3), torch.tensor([[4, 0], [1, 4]])], lambda x, i: x[i])
case("crossEntropy", [drawn("crossEntropy", 6, 4), torch.tensor([0, 3, 2, 1, 3, 0])], lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1))
case("crossEntropyWeighed", [drawn("crossEntropyWeighed", 6, 4), torch.tensor([0, 3, 2, 1, 3, 0])],
     lambda x, t: F.cross_entropy(x, t, weight=torch.tensor([1, 2, 0.5, 1], dtype=torch.float64)))
case("binaryCrossEntropy", [drawn("binaryCrossEntropy", 7, low=-4, high=4), drawn("binaryCrossEntropyb", 7, low=0.1, high=0.9)],
     F.binary_cross_entropy_with_logits)
case("meanSquaredError", [drawn("meanSquaredError", 3, 4), drawn("meanSquaredErrorb", 3, 4)], F.mse_loss)
case("dropout", [drawn("dropout", 4, 10)], lambda x: x * kept(40, 0.4, key=3, counter=9, draw=2).reshape(4, 10) / 0.6)

def lstm(directions):
    def run(x, *rest):
        h, c, zeros = rest[-2], rest[-1], torch.zeros(rest[2].shape, dtype=torch.float64)
        weights = [w for d in range(directions) for w in (*rest[3 * d:3 * d + 3], zeros)]
        y, h, c = torch._VF.lstm(x, (h, c), weights, True, 1, 0.0, False, directions == 2, True)
        return torch.cat([y.flatten(), h.flatten(), c.flatten()])
    return run
for name, directions, hidden in [("lstm", 1, 5), ("lstmBoth", 2, 17)]:
    one = lambda d: [drawn(f"{name}i{d}", 4 * hidden, 3, low=-1, high=1), drawn(f"{name}r{d}", 4 * hidden, hidden, low=-0.5, high=0.5), drawn(f"{name}b{d}", 4 * hidden, low=-1, high=1)]
    case(name, [drawn(name, 2, 4, 3)] + [w for d in range(directions) for w in one(d)]
         + [drawn(f"{name}{s}", directions, 2, hidden, low=-1, high=1) for s in "hc"], lstm(directions))

def split(x, heads): return x.unflatten(-1, (heads, -1)).transpose(1, 2)
def attention(q, k, v, heads, **options):
    return F.scaled_dot_product_attention(split(q, heads), split(k, heads), split(v, heads), **options).transpose(1, 2).flatten(2)
case("selfAttention", [drawn("selfAttention", 2, 5, 18)], lambda x: attention(*x.chunk(3, -1), 2))
case("causalAttention", [drawn("causalAttention", 1, 7, 12)], lambda x: attention(*x.chunk(3, -1), 2, is_causal=True))
seen = torch.tensor([[i % 3 != j % 2 for j in range(4)] for i in range(3)])
case("maskedAttention", [drawn("maskedAttention", 2, 3, 6), drawn("maskedAttentionb", 2, 4, 6), drawn("maskedAttentionc", 2, 4, 6)],
     lambda q, k, v: attention(q, k, v, 3, attn_mask=seen))

case("conv1D", [drawn("conv1D", 2, 7, 3), drawn("conv1Db", 5, 3, 3, low=-1, high=1), drawn("conv1Dc", 5)],
     lambda x, w, b: F.conv1d(F.pad(x.transpose(1, 2), (4, 0)), w, b, dilation=2).transpose(1, 2))
case("conv1DStride", [drawn("conv1DStride", 2, 8, 3), drawn("conv1DStrideb", 5, 3, 3, low=-1, high=1)],
     lambda x, w: F.conv1d(x.transpose(1, 2), w, stride=2, padding=1).transpose(1, 2))

# Optimisers: three steps with given gradients.
gradients = [drawn(f"step{i}", 11) for i in range(3)]
for i, g in enumerate(gradients): store(f"optimizer/gradient{i}", g)
store("optimizer/start", drawn("optimizer", 11))
for name, make in [
    ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)),
    ("nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
    ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.1)),
]:
    value = drawn("optimizer", 11).requires_grad_()
    optimizer = make([value])
    for i, g in enumerate(gradients):
        value.grad = g.clone()
        optimizer.step()
        store(f"optimizer/{name}{i}", value)

# A network of every layer, trained for three steps: all its state before and after, and the losses.
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 9, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(9)
        self.embedding = torch.nn.Embedding(5, 9)
        self.layer_norm = torch.nn.LayerNorm(9)
        self.head = torch.nn.Linear(9, 3)
    def forward(self, x, words):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = F.avg_pool2d(x, 2).mean((2, 3)) + self.embedding(words)
        return self.head(self.layer_norm(x))

def state(net):
    for name, value in net.state_dict().items():
        if "num_batches" in name: continue
        part, kind = name.rsplit(".", 1)
        kind = {"running_var": "running_variance"}.get(kind, kind)
        if "norm" in part: kind = {"weight": "scale"}.get(kind, kind)
        yield f"{part}.{kind}", value

pictures, words, labels = drawn("pictures", 4, 2, 8, 8), torch.tensor([1, 4, 0, 1]), torch.tensor([2, 0, 1, 1])
store("training/pictures", pictures), store("training/words", words), store("training/labels", labels)
for name, make in [
    ("nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
    ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
]:
    net = Net().double()
    with torch.no_grad():
        for key, value in net.named_parameters(): value.copy_(drawn(key, *value.shape, low=-0.5, high=0.9))
    if name == "adamw":
        for key, value in state(net): store(f"training/start/{key}", value)
    optimizer, losses = make(net.parameters()), []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(pictures, words), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    store(f"training/{name}/losses", losses)
    for key, value in state(net): store(f"training/{name}/{key}", value)
    store(f"training/{name}/prediction", net.eval()(pictures, words))

write()
