"""Prints how much memory a peer's workload needs beyond the imported framework, as one JSON line.

    python peer_memory.py PEERS_FOLDER --peer torch --mode tuned --threads 1 --workload unet-128

The most that was resident since data and network began to be made, minus what was resident just before, as keel-bench measures it: the
peak begins anew by way of /proc/self/clear_refs, then come the same warm-up and samples as when time is measured.
"""
import argparse
import gc
import importlib
import json
import os
import sys

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder")
parser.add_argument("--peer", required=True)
parser.add_argument("--mode", required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--workload", required=True)
args = parser.parse_args()

# As the peers' own runner sets them, before any import.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(args.threads)
if args.peer == "paddle":
    os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
sys.dont_write_bytecode = True
sys.path.insert(0, args.folder)
import timing  # noqa: E402


def kibibytes(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))


peer = importlib.import_module(f"{args.peer}_peer")
peer.prepare(args.threads)
gc.collect()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = kibibytes("VmRSS")
line = vars(args) | {"contender": f"{args.peer}:{args.mode}"}
del line["folder"]
try:
    timing.measure(peer.build(args.workload, args.mode), 3)
    line["memory_mb"] = round((kibibytes("VmHWM") - before) / 1024, 1)
except Exception as error:  # the peer's own failure is a result
    line["error"] = f"{type(error).__name__}: {error}"[:200]
print(json.dumps(line), flush=True)
