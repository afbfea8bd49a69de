"""Trains the same networks with torch and with Keel, from the same weights on the same data, and compares the losses.

    python losses.py --peers FOLDER --keel BINARY --out FOLDER --workload train

Torch's weights and the data become safetensors files, which keel-bench reads. The loss after 20 steps may differ by the larger of 0.001
and three times the difference between torch at 1 and at 2 threads. The exit status is 1 if one differs by more, or can't be compared.
"""
import argparse
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

STEPS = 20
NORM = [(r"\.running_var$", ".running_variance"), (r"norm(\d?)\.weight$", r"norm\1.scale")]
# The last two numbers of a name; before them stands the level's.
TWO = [(rf"\.{i}\.{j}\.(\w+)$", rf".{conv}.{part}.\1") for i, conv in enumerate(("first", "second")) for j, part in enumerate(("conv", "norm"))]
LSTM = [(r"lstm\.(\w+?)_l(\d+)_reverse$", r"lstm.\2.backward.\1"), (r"lstm\.(\w+?)_l(\d+)$", r"lstm.\2.forward.\1"),
        (r"\.weight_ih$", ".input"), (r"\.weight_hh$", ".recurrent"), (r"\.bias_ih$", ".inputBias"), (r"\.bias_hh$", ".recurrentBias")]


def lowered(match):
    return f"blocks.{int(match[1]) - 1}."


def names_of_efficientnet(keys):
    """The expansion is missing in a block that has none, and so shifts the places of the others."""
    last = max(int(key.split(".")[1]) for key in keys if key.startswith("body."))
    widths = {i: len({key.split(".")[3] for key in keys if key.startswith(f"body.{i}.layers.")}) for i in range(1, last)}
    rules = [(r"^body\.0\.0\.", "stem.conv."), (r"^body\.0\.1\.", "stem.norm."),
             (rf"^body\.{last}\.0\.", "top.conv."), (rf"^body\.{last}\.1\.", "top.norm.")]
    for block, count in widths.items():
        for place, part in enumerate(("expansion", "depthwise", "projection")[3 - count:]):
            for i, inner in enumerate(("conv", "norm")):
                rules.append((rf"^body\.{block}\.layers\.{place}\.{i}\.", f"blocks.{block - 1}.{part}.{inner}."))
    return rules


# What torch's names become, rule after rule; see Networks.swift, Sequences.swift, DeepFM.swift.
RULES = {
    "mlp-tabular": lambda keys: [(r"^0\.", "first."), (r"^2\.", "second."), (r"^4\.", "head.")],
    "resnet18-cifar": lambda keys: [
        (r"^body\.0\.0\.", "stem.conv."), (r"^body\.0\.1\.", "stem.norm."), (r"^body\.(\d+)\.", lowered), (r"\.a\.0\.", ".first.conv."),
        (r"\.a\.1\.", ".first.norm."), (r"\.b\.0\.", ".second.conv."), (r"\.b\.1\.", ".second.norm."),
        (r"\.shortcut\.0\.", ".shortcut.conv."), (r"\.shortcut\.1\.", ".shortcut.norm.")],
    "effnet-lite0-train": names_of_efficientnet,
    "bilstm-text": lambda keys: LSTM,
    "transformer-encoder": lambda keys: [(r"\.qkv\.", ".attention.qkv."), (r"\.proj\.", ".attention.projection.")],
    "deepfm-ctr": lambda keys: [],
    "unet-128": lambda keys: TWO,
    "lstm-forecast": lambda keys: LSTM,
    "tcn-forecast": lambda keys: [(r"\.a\.", ".first."), (r"\.b\.", ".second.")],
}


def renamed(workload, state):
    rules, found = RULES[workload](list(state)) + NORM, {}
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            for pattern, by in rules:
                name = re.sub(pattern, by, name)
            found[name] = value
    return found


def write_safetensors(path, arrays):
    """https://github.com/huggingface/safetensors: a header of JSON behind its length, then the bytes of all tensors."""
    header, offset = {}, 0
    for name, array in arrays.items():
        code = {"float32": "F32", "int64": "I64"}[str(array.dtype)]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def torch_peer(folder):
    """The peers' torch code, whose networks, data and losses are caught on their way into its training step."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("torch_peer", os.path.join(folder, "torch_peer.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torch_losses(folder, workload, threads, to):
    """Trains with torch; writes weights and data into folder `to`."""
    peer = torch_peer(folder)
    import torch
    peer.prepare(threads)
    caught, losses = {}, []

    def remember(loss):
        def call(*arguments):
            value = loss(*arguments)
            losses.append(value.item())
            return value
        return call

    original, logistic = peer.train_step, peer.F.binary_cross_entropy_with_logits
    network = peer.DeepFM

    def train_step(model, inputs, target, loss, optimizer, mode, **options):
        caught.update(model=model, batches=[[*inputs, target]])
        return original(model, inputs, target, remember(loss), optimizer, mode, **options)

    def deepfm(*arguments):
        caught.update(model=network(*arguments), batches=peer.W.deepfm_batches())
        return caught["model"]

    peer.train_step, peer.DeepFM = train_step, deepfm
    peer.F.binary_cross_entropy_with_logits = remember(logistic)
    try:
        step = peer.build(workload, "eager")
        state = {name: value.detach().contiguous().numpy() for name, value in caught["model"].state_dict().items()}
        write_safetensors(os.path.join(to, "weights"), renamed(workload, state))
        data = {}
        for b, batch in enumerate(caught["batches"]):
            for i, array in enumerate(batch):
                # Pictures' labels lie one behind the other, as Keel's loss takes them.
                data[f"{b}.{i}"] = array.reshape(-1) if str(array.dtype) == "int64" and i == len(batch) - 1 else array
        write_safetensors(os.path.join(to, "data"), data)
        for _ in range(STEPS):
            step()
    finally:
        peer.F.binary_cross_entropy_with_logits = logistic
    return losses


def in_another_process(args, workload, threads, to):
    """Torch's number of threads is its process's."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--peers", args.peers, "--keel", args.keel, "--out", to, "--workload", workload,
                           "--torch-threads", str(threads)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(args, workload):
    with tempfile.TemporaryDirectory() as folder:
        one, two = (in_another_process(args, workload, threads, folder) for threads in (1, 2))
        done = subprocess.run([args.keel, "--workload", workload, "--threads", "1", "--weights", os.path.join(folder, "weights"),
                               "--data", os.path.join(folder, "data"), "--steps", str(STEPS)], stdout=subprocess.PIPE, text=True)
    line = json.loads(done.stdout.splitlines()[-1])
    if "losses" not in line:
        print(f"{workload}: {line.get('error') or line.get('skipped')}")
        return None
    allowed = max(1e-3, 3 * abs(one[-1] - two[-1]))
    found = {"workload": workload, "torch": one[-1], "keel": line["losses"][-1], "allowed": allowed, "torch_losses": one, "keel_losses": line["losses"]}
    print(f"{workload}: torch {one[-1]:.6f}, at 2 threads {two[-1]:.6f}, Keel {line['losses'][-1]:.6f}, allowed {allowed:.2g}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--keel", required=True)
    parser.add_argument("--out", required=True, help="the folder of the lines")
    parser.add_argument("--workload", default="train")
    parser.add_argument("--torch-threads", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_threads:
        print(json.dumps(torch_losses(args.peers, args.workload, args.torch_threads, args.out)))
        return
    names = [name for part in args.workload.split(",") for name in (RULES if part == "train" else [part])]
    found = [compare(args, name) for name in names]
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "losses.jsonl"), "a") as file:
        file.writelines(json.dumps(line) + "\n" for line in found if line)
    if any(line is None or abs(line["torch"] - line["keel"]) > line["allowed"] for line in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
