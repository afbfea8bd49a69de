"""Writes golden_samplers.json: what Keel's samplers have to draw, from a Philox of Python's own and the published formulas."""
import json, math, pathlib
from golden_philox import Random

def groups(keys): return [[i for i, k in enumerate(keys) if k == g] for g in sorted(set(keys))]

def replaced(weights, count, r):
    total, result = sum(weights), []
    for _ in range(count):
        place, i = r.unit() * total, 0
        while place >= weights[i]: place -= weights[i]; i += 1
        result.append(i)
    return result

def taken(weights, count, r):
    keys = [r.unit() for _ in weights]
    return [i for _, i in sorted((-math.log(1 - u) / w, i) for i, (u, w) in enumerate(zip(keys, weights)) if w > 0)][:count]

def stratified(classes, r):
    places = {}
    for members in groups(classes):
        for part, item in enumerate(r.shuffled(members)): places[item] = (part + r.unit()) / len(members)
    return sorted(places, key=lambda i: (places[i], i))

def bucketed(lengths, bounds, size, r):
    batches = []
    for members in groups([sum(b < n for b in bounds) for n in lengths]):
        members = r.shuffled(members); batches += [members[i:i + size] for i in range(0, len(members), size)]
    return r.shuffled(batches)

weights, classes = [1, 0.5, 0, 4, 2.25, 8, 0.125, 1], [i * i % 5 for i in range(23)]
lengths = [i * 7 % 13 for i in range(17)]
out = dict(weights=weights, classes=classes, lengths=lengths)
for epoch in range(2):
    out[f"replaced {epoch}"] = replaced(weights, 40, Random(5, epoch))
    out[f"taken {epoch}"] = taken(weights, 6, Random(5, epoch))
    out[f"stratified {epoch}"] = stratified(classes, Random(1 << 40 | 9, epoch))
    out[f"bucketed {epoch}"] = bucketed(lengths, [4, 9], 3, Random(7, epoch))
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=None))
