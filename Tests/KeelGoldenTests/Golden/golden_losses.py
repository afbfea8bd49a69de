#!/usr/bin/env python3
"""Writes golden_losses.safetensors: what PyTorch makes, in float64, of losses. golden_file.py says how they are stored.
usage: golden_losses.py > golden_losses.safetensors        needs: pip install torch numpy"""
import torch
import torch.nn.functional as F
from golden_file import case, drawn, write

labels = torch.tensor([2, 0, 3, 1, 3, 2])
ignored = torch.tensor([2, -100, 3, 1, -100, 2])
weights = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64)
for reduction in ["none", "mean", "sum"]:
    name = "crossEntropy" + reduction.capitalize()
    case(name, [drawn(name, 6, 4), labels], lambda x, y: F.cross_entropy(x, y, reduction=reduction))
    case(name + "All", [drawn(name + "All", 6, 4), ignored], lambda x, y: F.cross_entropy(x, y, weights, label_smoothing=0.1, reduction=reduction))
case("crossEntropyIgnoring", [drawn("crossEntropyIgnoring", 6, 4), ignored], lambda x, y: F.cross_entropy(x, y, label_smoothing=0.2))
case("crossEntropySteps", [drawn("crossEntropySteps", 2, 3, 4), labels.reshape(2, 3)], lambda x, y: F.cross_entropy(x.transpose(1, 2), y, weights, reduction="none"))
def shares(name): return torch.softmax(drawn(name, 3, 4), 1).float().double()
case("crossEntropyShares", [drawn("crossEntropyShares", 3, 4), shares("crossEntropySharesb")], F.cross_entropy)
case("binaryCrossEntropyPositive", [drawn("binaryCrossEntropyPositive", 3, 4), drawn("binaryCrossEntropyPositiveb", 3, 4, low=0, high=1)],
     lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=2 * weights, reduction="none"))

def pair(name, function, *rest, **options): case(name, [drawn(name, 3, 4), drawn(name + "b", 3, 4), *rest], lambda *x: function(*x, **options))
pair("meanSquaredErrorSum", F.mse_loss, reduction="sum")
pair("meanAbsoluteError", F.l1_loss, reduction="none")
pair("huber", F.huber_loss, delta=0.7)
pair("huberNone", F.huber_loss, delta=1.3, reduction="none")
pair("smoothL1", F.smooth_l1_loss, beta=0.7, reduction="sum")
def pinball(x, y, q): return torch.maximum(q * (y - x), (q - 1) * (y - x))
pair("quantile", lambda x, y: pinball(x, y, 0.8).mean())
case("quantiles", [drawn("quantiles", 5, 3), drawn("quantilesb", 5)], lambda x, y: pinball(x, y[:, None], torch.tensor([0.1, 0.5, 0.9])))
case("poisson", [drawn("poisson", 3, 4), drawn("poissonb", 3, 4, low=0, high=5)], lambda x, y: F.poisson_nll_loss(x, y, reduction="none"))
case("poissonRate", [drawn("poissonRate", 3, 4, low=0.1, high=4), drawn("poissonRateb", 3, 4, low=0, high=5)],
     lambda x, y: F.poisson_nll_loss(x, y, log_input=False, full=True))
case("gaussian", [drawn("gaussian", 3, 4), drawn("gaussianb", 3, 4), drawn("gaussianc", 3, 4, low=0.1, high=3)],
     lambda x, y, v: F.gaussian_nll_loss(x, y, v, reduction="none"))
case("klDivergence", [drawn("klDivergence", 3, 4), shares("klDivergenceb")], lambda x, y: F.kl_div(F.log_softmax(x, 1), y, reduction="batchmean"))
pair("klDivergenceLog", lambda x, y: F.kl_div(F.log_softmax(x, 1), F.log_softmax(y, 1), reduction="none", log_target=True).sum(1))

signs = torch.tensor([[1.0, -1, -1, 1], [-1, 1, 1, -1], [1, 1, -1, -1]], dtype=torch.float64)
case("hinge", [drawn("hinge", 3, 4)], lambda x: (1 - signs * x).clamp(min=0).mean())
case("multiMargin", [drawn("multiMargin", 6, 4), labels], F.multi_margin_loss)
case("multiMarginAll", [drawn("multiMarginAll", 6, 4), labels], lambda x, y: F.multi_margin_loss(x, y, p=2, margin=1.5, weight=weights, reduction="none"))
pair("marginRanking", lambda a, b: F.margin_ranking_loss(a, b, signs, margin=0.3, reduction="sum"))
triple = lambda name: [drawn(name + c, 3, 4) for c in "abc"]
case("triplet", triple("triplet"), F.triplet_margin_loss)
case("tripletAll", triple("tripletAll"), lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=2, p=3, swap=True, reduction="none"))
marks = torch.tensor([1.0, 0, 0], dtype=torch.float64)
def contrastive(a, b):
    d = F.pairwise_distance(a, b)
    return marks * d ** 2 / 2 + (1 - marks) * (4 - d).clamp(min=0) ** 2 / 2
pair("contrastive", contrastive)
pair("cosineEmbedding", lambda a, b: F.cosine_embedding_loss(a, b, torch.tensor([1, -1, -1]), margin=-0.5, reduction="none"))
def info(a, b, symmetric):
    logits, own = F.normalize(a) @ F.normalize(b).T / 0.2, torch.arange(3)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2 if symmetric else F.cross_entropy(logits, own)
pair("infoNCE", info, symmetric=False)
pair("infoNCESymmetric", info, symmetric=True)
pair("cosineSimilarity", F.cosine_similarity, dim=0)
case("norm", [drawn("norm", 3, 4)], lambda x: torch.linalg.vector_norm(x, dim=1))
case("normThree", [drawn("normThree", 3, 4)], lambda x: torch.linalg.vector_norm(x, 3, dim=0, keepdim=True))
case("normOne", [drawn("normOne", 3, 4)], lambda x: torch.linalg.vector_norm(x, 1))
case("normLargest", [drawn("normLargest", 3, 4)], lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1))
write()
