"""Writes golden_layers.safetensors: optimisers, schedules and layers of KeelNN beside torch's (LAMB after its paper), in float64.

    python golden_layers.py > golden_layers.safetensors"""
import math
import numpy as np
import torch
from golden_file import case, drawn, store, stored, write

torch.set_default_dtype(torch.float64)


# Optimisers: 20 steps of a small regression whose gradients follow the parameters. `w` decays, `b` doesn't and moves half as fast.
class LAMB(torch.optim.Optimizer):
    """You et al., 2020, algorithm 2, with the identity for phi."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                s = self.state[p]
                if not s: s.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                s["t"] += 1
                b1, b2 = group["betas"]
                s["m"] = b1 * s["m"] + (1 - b1) * p.grad
                s["v"] = b2 * s["v"] + (1 - b2) * p.grad ** 2
                r = s["m"] / (1 - b1 ** s["t"]) / ((s["v"] / (1 - b2 ** s["t"])).sqrt() + group["eps"]) + group["weight_decay"] * p
                trust = p.norm() / r.norm() if p.norm() > 0 and r.norm() > 0 else 1
                p -= group["lr"] * trust * r


x, target = drawn("optimizer/x", 6, 5), drawn("optimizer/target", 6, 7, low=-1, high=1)
start = {"w": drawn("optimizer/w", 5, 7, low=-1, high=1), "b": drawn("optimizer/b", 7, low=-1, high=1), "k": drawn("optimizer/k", 2, 3, 4, low=-1, high=1)}
pull = drawn("optimizer/pull", 2, 3, 4, low=-1, high=1)
for name, value in [("x", x), ("target", target), ("pull", pull), *start.items()]: store(f"optimizer/{name}", value)

optimizers = {
    "sgd": (torch.optim.SGD, 0.02, 0.1, dict(momentum=0.9)),
    "nesterov": (torch.optim.SGD, 0.02, 0.1, dict(momentum=0.8, nesterov=True)),
    "adam": (torch.optim.Adam, 0.05, 0.1, dict(betas=(0.8, 0.99), eps=1e-6)),
    "adamw": (torch.optim.AdamW, 0.05, 0.1, dict(betas=(0.8, 0.99), eps=1e-6)),
    "lamb": (LAMB, 0.05, 0.1, dict(betas=(0.8, 0.99), eps=1e-6)),
    "adagrad": (torch.optim.Adagrad, 0.1, 0.1, dict(initial_accumulator_value=0.1)),
    "rmsprop": (torch.optim.RMSprop, 0.02, 0.1, dict(alpha=0.9)),
    "rmspropMomentum": (torch.optim.RMSprop, 0.02, 0.1, dict(alpha=0.9, momentum=0.5)),
    "rmspropCentred": (torch.optim.RMSprop, 0.02, 0.1, dict(alpha=0.9, momentum=0.5, centered=True, eps=1e-4)),
    "adafactor": (torch.optim.Adafactor, 0.1, 0.1, dict(eps=(float(np.finfo(np.float32).eps), 1e-3))),
}
for name, (kind, rate, decay, settings) in optimizers.items():
    p = {key: value.clone().requires_grad_() for key, value in start.items()}
    optimizer = kind([{"params": [p["w"], p["k"]], "weight_decay": decay}, {"params": [p["b"]], "weight_decay": 0.0, "lr": rate / 2}], lr=rate, **settings)
    average = {key: value.detach().clone() for key, value in p.items()}
    losses = []
    for step in range(20):
        optimizer.zero_grad()
        loss = ((x @ p["w"] + p["b"]).tanh() - target).square().sum() + (p["k"].square() * pull).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        for key in p: average[key] = 0.9 * average[key] + 0.1 * p[key].detach()
    store(f"optimizer/{name}/losses", np.array(losses))
    for key in p: store(f"optimizer/{name}/{key}", p[key])
    if name == "adamw":
        for key in p: store(f"optimizer/average/{key}", average[key])

# Schedules: the rates of 40 steps.
from torch.optim import lr_scheduler as schedulers


def rates(name, make, rate=0.5, measures=None):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule, found = make(optimizer), []
    for step in range(40):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*([measures[step]] if measures is not None else []))
    store(f"schedule/{name}", np.array(found))


rates("step", lambda o: schedulers.StepLR(o, 7, 0.3))
rates("multiStep", lambda o: schedulers.MultiStepLR(o, [3, 10, 11, 30], 0.3))
rates("exponential", lambda o: schedulers.ExponentialLR(o, 0.9))
rates("polynomial", lambda o: schedulers.PolynomialLR(o, 30, 2.5))
rates("linear", lambda o: schedulers.LinearLR(o, 1.0, 0.2, 30))
rates("cosine", lambda o: schedulers.CosineAnnealingLR(o, 39, 0.1))
rates("cosineRestarts", lambda o: schedulers.CosineAnnealingWarmRestarts(o, 5, 2, 0.1))
rates("cosineRepeats", lambda o: schedulers.CosineAnnealingWarmRestarts(o, 6, 1, 0.1))
rates("oneCycle", lambda o: schedulers.OneCycleLR(o, 0.5, total_steps=41))
rates("warmUp", lambda o: schedulers.SequentialLR(o, [schedulers.LinearLR(o, 1 / 8, 1, 7), schedulers.ExponentialLR(o, 0.9)], [8]))
rates("chained", lambda o: schedulers.SequentialLR(
    o, [schedulers.LinearLR(o, 0.1, 1, 10), schedulers.ConstantLR(o, 1, 1), schedulers.ExponentialLR(o, 0.9)], [10, 20]))
measures = np.float32(1 + 0.5 * np.cos(np.arange(40)) * 0.95 ** np.arange(40)).astype(np.float64)
store("schedule/measures", measures)
rates("plateau", lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=0.01, cooldown=3, min_lr=0.1), measures=measures)
rates("plateauHigher", lambda o: schedulers.ReduceLROnPlateau(o, "max", factor=0.5, patience=1, threshold=0.01, min_lr=0.01), measures=measures)


# Layers: NAME/state/... are our names for a layer's parameters, NAME/after/... its buffers afterwards, NAME/gradient/... what arrived.
from torch.nn import functional as F


def layer(name, shapes, inputs, function, buffers=()):
    """`function(state, *inputs)` on drawn parameters; `buffers` are changed in place by it."""
    state = {key: drawn(f"{name}/{key}", *shape, low=-0.8, high=0.8).requires_grad_() for key, shape in shapes.items()}
    kept = {}
    for key, shape in buffers:
        kept[key] = torch.ones(shape) if key.endswith("variance") else torch.zeros(shape)
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    for key in state: store(f"{name}/state/{key}", state[key])
    for i, x in enumerate(leaves): store(f"{name}/in{i}", x)
    out = function({**state, **kept}, *leaves)
    seed = drawn(name + "/seed", *out.shape, low=-1, high=1)
    store(f"{name}/out", out)
    store(f"{name}/seed", seed)
    wanted = [x for x in leaves if x.is_floating_point()] + list(state.values())
    gradients = torch.autograd.grad(out, wanted, seed)
    for i in range(len(gradients) - len(state)): store(f"{name}/grad{i}", gradients[i])
    for key, gradient in zip(state, gradients[len(gradients) - len(state):]): store(f"{name}/gradient/{key}", gradient)
    for key in kept: store(f"{name}/after/{key}", kept[key])


def conv_norm_shapes(prefix, i, o, k, groups=1):
    return {f"{prefix}conv.weight": (o, i // groups, k, k), f"{prefix}norm.scale": (o,), f"{prefix}norm.bias": (o,)}


def conv_norm_buffers(prefix, o): return [(f"{prefix}norm.running_mean", o), (f"{prefix}norm.running_variance", o)]


def conv_norm(p, prefix, x, stride=1, groups=1, activation=F.relu):
    w = p[prefix + "conv.weight"]
    x = F.conv2d(x, w, stride=stride, padding=w.shape[2] // 2, groups=groups)
    return activation(F.batch_norm(x, p[prefix + "norm.running_mean"], p[prefix + "norm.running_variance"], p[prefix + "norm.scale"], p[prefix + "norm.bias"], True))


def same(x): return x


def basic(p, x):
    y = conv_norm(p, "layers.1.", conv_norm(p, "layers.0.", x, stride=2), activation=same)
    return F.relu(y + conv_norm(p, "shortcut.", x, stride=2, activation=same))


layer("residual", {**conv_norm_shapes("layers.0.", 3, 4, 3), **conv_norm_shapes("layers.1.", 4, 4, 3), **conv_norm_shapes("shortcut.", 3, 4, 1)},
      [drawn("residual/x", 2, 3, 5, 5)], basic, [b for q in ("layers.0.", "layers.1.", "shortcut.") for b in conv_norm_buffers(q, 4)])


def bottleneck(p, x):
    y = conv_norm(p, "layers.1.", conv_norm(p, "layers.0.", x))
    return F.relu(conv_norm(p, "layers.2.", y, activation=same) + x)


layer("bottleneck", {**conv_norm_shapes("layers.0.", 4, 2, 1), **conv_norm_shapes("layers.1.", 2, 2, 3), **conv_norm_shapes("layers.2.", 2, 4, 1)},
      [drawn("bottleneck/x", 2, 4, 4, 4)], bottleneck,
      conv_norm_buffers("layers.0.", 2) + conv_norm_buffers("layers.1.", 2) + conv_norm_buffers("layers.2.", 4))


def excitation(p, x, prefix="", activation=F.relu):
    y = activation(F.linear(x.mean((2, 3)), p[prefix + "squeeze.weight"], p[prefix + "squeeze.bias"]))
    return x * F.linear(y, p[prefix + "excite.weight"], p[prefix + "excite.bias"]).sigmoid()[:, :, None, None]


def excitation_shapes(prefix, c, inner):
    return {prefix + "squeeze.weight": (inner, c), prefix + "squeeze.bias": (inner,), prefix + "excite.weight": (c, inner), prefix + "excite.bias": (c,)}


layer("excitation", excitation_shapes("", 6, 3), [drawn("excitation/x", 2, 6, 3, 4)], excitation)


def inverted(p, x):
    y = conv_norm(p, "depthwise.", conv_norm(p, "expand.", x, activation=F.silu), groups=6, activation=F.silu)
    return x + conv_norm(p, "project.", excitation(p, y, "excitation.", F.silu), activation=same)


layer("inverted", {**conv_norm_shapes("expand.", 3, 6, 1), **conv_norm_shapes("depthwise.", 6, 6, 3, 6), **excitation_shapes("excitation.", 6, 2),
                   **conv_norm_shapes("project.", 6, 3, 1)},
      [drawn("inverted/x", 2, 3, 4, 4)], inverted,
      conv_norm_buffers("expand.", 6) + conv_norm_buffers("depthwise.", 6) + conv_norm_buffers("project.", 3))


def unet_down(p, x): return conv_norm(p, "second.", conv_norm(p, "first.", F.max_pool2d(x, 2)))


layer("unetDown", {**conv_norm_shapes("first.", 2, 4, 3), **conv_norm_shapes("second.", 4, 4, 3)}, [drawn("unetDown/x", 2, 2, 6, 6)], unet_down,
      conv_norm_buffers("first.", 4) + conv_norm_buffers("second.", 4))


def unet_up(p, x, skip):
    up = F.conv_transpose2d(x, p["up.weight"], p["up.bias"], stride=2)
    return conv_norm(p, "second.", conv_norm(p, "first.", torch.cat([skip, up], 1)))


layer("unetUp", {"up.weight": (4, 3, 2, 2), "up.bias": (3,), **conv_norm_shapes("first.", 5, 3, 3), **conv_norm_shapes("second.", 3, 3, 3)},
      [drawn("unetUp/x", 2, 4, 3, 3), drawn("unetUp/skip", 2, 2, 6, 6)], unet_up, conv_norm_buffers("first.", 3) + conv_norm_buffers("second.", 3))


def pyramid(p, *maps):
    above, results = None, []
    for i in reversed(range(len(maps))):
        x = F.conv2d(maps[i], p[f"lateral.{i}.weight"], p[f"lateral.{i}.bias"])
        if above is not None: x = x + F.interpolate(above, size=x.shape[-2:], mode="nearest")
        above = x
        results.insert(0, F.conv2d(x, p[f"output.{i}.weight"], p[f"output.{i}.bias"], padding=1).flatten(1))
    return torch.cat(results, 1)


shapes = {}
for i, c in enumerate([2, 3, 4]): shapes.update({f"lateral.{i}.weight": (3, c, 1, 1), f"lateral.{i}.bias": (3,)})
for i in range(3): shapes.update({f"output.{i}.weight": (3, 3, 3, 3), f"output.{i}.bias": (3,)})
layer("pyramid", shapes, [drawn("pyramid/0", 1, 2, 7, 8), drawn("pyramid/1", 1, 3, 4, 4), drawn("pyramid/2", 1, 4, 2, 2)], pyramid)


def experts(p, x):
    marks = x.reshape(-1, 6) @ p["router.weight"].T
    best = marks.topk(2)
    weights = torch.zeros_like(marks).scatter(1, best.indices, best.values.softmax(-1))
    answers = [F.linear(F.gelu(F.linear(x.reshape(-1, 6), p[f"experts.{e}.up.weight"], p[f"experts.{e}.up.bias"])), p[f"experts.{e}.down.weight"], p[f"experts.{e}.down.bias"]) for e in range(4)]
    y = sum(weights[:, e:e + 1] * answers[e] for e in range(4))
    shares = torch.zeros(len(marks), 4).scatter(1, best.indices, 1.0).mean(0) / 2
    balance = 4 * (shares * marks.softmax(-1).mean(0)).sum()
    return torch.cat([y.flatten(), balance.reshape(1)])


shapes = {"router.weight": (4, 6)}
for e in range(4): shapes.update({f"experts.{e}.up.weight": (5, 6), f"experts.{e}.up.bias": (5,), f"experts.{e}.down.weight": (6, 5), f"experts.{e}.down.bias": (6,)})
layer("experts", shapes, [drawn("experts/x", 2, 4, 6)], experts)


# Transformers: torch's own modules, whose parameters go by our names.
def linear_names(ours, theirs): return {f"{ours}.weight": f"{theirs}.weight", f"{ours}.bias": f"{theirs}.bias"}


def norm_names(ours, theirs): return {f"{ours}.scale": f"{theirs}.weight", f"{ours}.bias": f"{theirs}.bias"}


def attention_names(ours, theirs):
    return {f"{ours}qkv.weight": f"{theirs}in_proj_weight", f"{ours}qkv.bias": f"{theirs}in_proj_bias", **linear_names(f"{ours}projection", f"{theirs}out_proj")}


def module(name, made, names, inputs, call):
    theirs = dict(made.named_parameters())
    assert len(names) == len(theirs), name
    layer(name, {ours: theirs[names[ours]].shape for ours in names}, inputs,
          lambda p, *x: torch.func.functional_call(made, {names[ours]: p[ours] for ours in names}, call(*x)[0], call(*x)[1]))


seen = torch.tensor([[True] * 5, [True, True, True, False, False]])
memory_seen = torch.tensor([[True] * 4, [True, False, True, True]])
later = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
attend = torch.nn.MultiheadAttention(8, 2, batch_first=True)


class First(torch.nn.Module):
    def __init__(self, inner): super().__init__(); self.inner = inner
    def forward(self, *x, **o): return self.inner(*x, **o)[0]


x, memory = drawn("transformer/x", 2, 5, 8), drawn("transformer/memory", 2, 4, 8)
names = attention_names("", "inner.")
module("attention", First(attend), names, [x], lambda x: ((x, x, x), dict(attn_mask=later, key_padding_mask=~seen)))
module("crossAttention", First(attend), names, [x, memory], lambda x, m: ((x, m, m), dict(key_padding_mask=~memory_seen)))


def encoder_names(ours, theirs):
    return {**attention_names(f"{ours}attention.", f"{theirs}self_attn."), **norm_names(f"{ours}norm1", f"{theirs}norm1"), **linear_names(f"{ours}up", f"{theirs}linear1"),
            **linear_names(f"{ours}down", f"{theirs}linear2"), **norm_names(f"{ours}norm2", f"{theirs}norm2")}


def decoder_names(ours, theirs):
    return {**attention_names(f"{ours}attention.", f"{theirs}self_attn."), **attention_names(f"{ours}cross_attention.", f"{theirs}multihead_attn."),
            **linear_names(f"{ours}feed_forward.up", f"{theirs}linear1"), **linear_names(f"{ours}feed_forward.down", f"{theirs}linear2"),
            **{k: v for i in "123" for k, v in norm_names(f"{ours}norm{i}", f"{theirs}norm{i}").items()}}


for first in [False, True]:
    order = "Pre" if first else "Post"
    settings = dict(dim_feedforward=6, dropout=0.0, activation="gelu", batch_first=True, norm_first=first)
    last = dict(norm=torch.nn.LayerNorm(8)) if first else {}
    tail = norm_names("norm", "norm") if first else {}
    encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, **settings), 2, enable_nested_tensor=False, **last)
    module(f"encoder{order}", encoder, {**encoder_names("layers.0.", "layers.0."), **encoder_names("layers.1.", "layers.1."), **tail}, [x],
           lambda x: ((x,), dict(src_key_padding_mask=~seen)))
    decoder = torch.nn.TransformerDecoder(torch.nn.TransformerDecoderLayer(8, 2, **settings), 2, **last)
    module(f"decoder{order}", decoder, {**decoder_names("layers.0.", "layers.0."), **decoder_names("layers.1.", "layers.1."), **tail}, [x, memory],
           lambda x, m: ((x, m), dict(tgt_mask=later, memory_key_padding_mask=~memory_seen)))


# Positions, and activations.
def sinusoidal(p, x):
    angle = torch.arange(5.0)[:, None] * torch.exp(torch.arange(0, 8, 2.0) * (-math.log(10000.0) / 8))
    table = torch.zeros(5, 8)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
    return x + table


def rotary(p, x):
    angle = torch.arange(3.0, 8.0)[:, None] * 10000.0 ** (-torch.arange(0, 4, 2.0) / 4)
    turned = torch.view_as_complex(x.reshape(2, 5, 2, 2, 2)) * torch.polar(torch.ones_like(angle), angle)[:, None]
    return torch.view_as_real(turned).reshape(2, 5, 8)


layer("sinusoidal", {}, [x], sinusoidal)
layer("rotary", {}, [x], rotary)
layer("learned", {"weight": (7, 8)}, [x], lambda p, x: x + p["weight"][:5])
layer("prelu", {"weight": (3,)}, [drawn("prelu/x", 2, 3, 4)], lambda p, x: F.prelu(x, p["weight"]))
for name, function in [("elu", lambda x: F.elu(x, 0.7)), ("selu", F.selu), ("softplus", F.softplus), ("mish", F.mish), ("hardSigmoid", F.hardsigmoid),
                       ("hardSwish", F.hardswish), ("geluTanh", lambda x: F.gelu(x, approximate="tanh")), ("gatedLinear", F.glu)]:
    layer(name, {}, [drawn(name + "/x", 3, 8, low=-5, high=5)], lambda p, x, function=function: function(x))

write()
