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

write()
