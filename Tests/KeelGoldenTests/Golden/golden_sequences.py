#!/usr/bin/env python3
"""Writes golden_sequences.safetensors: what PyTorch makes, in float64, of recurrent layers over packed sequences, of CTC and, by going through
every path, of a linear-chain CRF. golden_file.py says how they are stored.
usage: golden_sequences.py > golden_sequences.safetensors        needs: pip install torch numpy"""
import itertools
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence
from golden_file import case, drawn, write

def recurrent(kind, gates, directions, layers=1, lengths=None):
    """A layer's inputs: x [3, 4, 2], then for each layer and direction input, recurrent and two biases, then h (and c)."""
    name, hidden, inputs = f"{kind}{directions}{layers}{'p' if lengths else ''}", 3, []
    inputs.append(drawn(name, 3, 4, 2))
    for layer in range(layers):
        for d in range(directions):
            features = 2 if layer == 0 else directions * hidden
            for i, shape in enumerate([(gates * hidden, features), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,)]):
                inputs.append(drawn(f"{name}{layer}{d}{i}", *shape, low=-0.8, high=0.8))
    inputs += [drawn(f"{name}h{i}", layers * directions, 3, hidden, low=-0.8, high=0.8) for i in range(2 if kind == "lstm" else 1)]
    run = torch._VF.lstm if kind == "lstm" else torch._VF.gru
    def function(x, *rest):
        state = list(rest[-2:]) if kind == "lstm" else rest[-1]
        weights = list(rest[:-2] if kind == "lstm" else rest[:-1])
        if lengths is None:
            y, *last = run(x, state, weights, True, layers, 0.0, False, directions == 2, True)
            return torch.cat([v.flatten() for v in [y, *last]])
        packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        order, back = packed.sorted_indices, packed.unsorted_indices
        state = [v[:, order] for v in state] if kind == "lstm" else state[:, order]
        y, *last = run(packed.data, packed.batch_sizes, state, weights, True, layers, 0.0, False, directions == 2)
        y, _ = pad_packed_sequence(PackedSequence(y, packed.batch_sizes, order, back), batch_first=True, total_length=x.shape[1])
        return torch.cat([y.flatten()] + [v[:, back].flatten() for v in last])
    case(name, inputs, function)

recurrent("gru", 3, 1)
recurrent("gru", 3, 2)
recurrent("gru", 3, 2, layers=2, lengths=[2, 4, 1])
recurrent("lstm", 4, 2, layers=2, lengths=[2, 4, 1])
case("padSequences", [drawn("padSequences", 2, 3), drawn("padSequencesb", 4, 3)], lambda a, b: pad_sequence([a, b], batch_first=True, padding_value=0.5))

targets, input_lengths, target_lengths = torch.tensor([[1, 1, 2], [3, 0, 0], [2, 3, 0]]), torch.tensor([8, 6, 3]), torch.tensor([3, 1, 2])
def ctc(x, y, i, t, **options): return F.ctc_loss(F.log_softmax(x, 2).transpose(0, 1), y, i, t, **options)
case("ctcNone", [drawn("ctcNone", 3, 8, 5), targets, input_lengths, target_lengths], lambda *x: ctc(*x, reduction="none"))
case("ctcMean", [drawn("ctcMean", 3, 8, 5), targets, input_lengths, target_lengths], lambda *x: ctc(*x, blank=4))
# The third sequence has three steps for two labels, the first two for three.
case("ctcZeroInfinity", [drawn("ctcZeroInfinity", 3, 8, 5), targets, torch.tensor([2, 6, 3]), target_lengths],
     lambda *x: ctc(*x, zero_infinity=True, reduction="sum"))

def chain(x, transitions, start, end, tags, lengths):
    """The log-likelihood of a linear chain, by adding up every path."""
    found = []
    for row, length in enumerate(lengths.tolist()):
        def score(path):
            total = start[path[0]] + end[path[-1]] + sum(x[row, t, k] for t, k in enumerate(path))
            return total + sum(transitions[a, b] for a, b in zip(path, path[1:]))
        paths = itertools.product(range(x.shape[2]), repeat=length)
        found.append(score(tags[row, :length].tolist()) - torch.logsumexp(torch.stack([score(p) for p in paths]), 0))
    return torch.stack(found)
case("crf", [drawn("crf", 3, 4, 3), drawn("crfb", 3, 3), drawn("crfc", 3), drawn("crfd", 3), torch.tensor([[0, 2, 2, 1], [1, 0, 0, 0], [2, 1, 0, 0]]), torch.tensor([4, 1, 3])], chain)
case("logSumExp", [drawn("logSumExp", 3, 4, 5)], lambda x: x.logsumexp((0, 2)))
case("logAddExp", [drawn("logAddExp", 3, 4), drawn("logAddExpb", 4)], torch.logaddexp)
write()
