"""Measures Keel beside the peers, and writes what was measured to a table. Lines of all runs are kept, so a table grows in pieces.

    python peers.py times  --peers FOLDER --keel BINARY --out FOLDER --workload train,micro --rounds 5
    python peers.py memory --peers FOLDER --keel BINARY --out FOLDER --workload train
    python peers.py table  --peers FOLDER --out FOLDER --to RESULTS.md

`times` hands over to the peers' compare.py, which runs all contenders in turn, round by round, at 1 and 2 threads.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from datetime import date
from math import prod
from statistics import median

CONTENDERS = ("torch", "torch:tuned", "torch:compile", "paddle", "paddle:to_static")
HERE = os.path.dirname(os.path.abspath(__file__))
# From here on, RESULTS.md holds what other measurements wrote.
KEPT = "## Dispatch"


def read(args, name):
    path = os.path.join(args.out, name)
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


def said_by(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def machine():
    with open("/proc/cpuinfo") as file:
        fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in file if ":" in line]))
    vectors = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in fields.get("flags", "").split()), "neither AVX2 nor AVX-512")
    return f"{os.cpu_count()} cores, {fields.get('model name', platform.machine())} ({vectors}), Linux {platform.release()}"


def times(args):
    note = {"machine": machine(), "date": str(date.today()), "commit": said_by("git", "-C", HERE, "rev-parse", "--short", "HEAD"),
            "swift": said_by("swift", "--version"), "rounds": args.rounds}
    with open(os.path.join(args.out, "runs.jsonl"), "a") as file:
        file.write(json.dumps(note) + "\n")
    subprocess.run([sys.executable, os.path.join(args.peers, "compare.py"), "--contenders", args.contenders, "--external", f"keel={args.keel}",
                    "--threads", args.threads, "--workload", args.workload, "--rounds", str(args.rounds), "--repeat", "3",
                    "--quiet", str(args.quiet), "--out", os.path.join(args.out, "times.jsonl")], check=True)


def memory(args):
    """One process a workload, so that none finds memory that another left."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, args.peers)
    import workloads
    with open(os.path.join(args.out, "memory.jsonl"), "a") as file:
        for name in [w.name for w in workloads.select(args.workload)]:
            for threads in args.threads.split(","):
                commands = [[args.keel, "--threads", threads, "--workload", name, "--repeat", "3"]]
                for contender in args.contenders.split(","):
                    peer, _, mode = contender.partition(":")
                    commands.append([sys.executable, os.path.join(HERE, "peer_memory.py"), args.peers, "--peer", peer, "--threads", threads,
                                     "--mode", mode or {"torch": "eager", "paddle": "dygraph"}[peer], "--workload", name])
                for contender, command in zip(["keel"] + args.contenders.split(","), commands):
                    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                    for text in done.stdout.splitlines():
                        if text.startswith("{"):
                            file.write(json.dumps(json.loads(text) | {"contender": contender}) + "\n")
                            file.flush()


def medians(lines, key):
    """{workload: {threads: {contender: median}}}, in the order of the lines."""
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in lines:
        if key in line:
            found[line["workload"]][line["threads"]][line["contender"]].append(line[key])
    return {w: {t: {c: median(v) for c, v in by.items()} for t, by in threads.items()} for w, threads in found.items()}


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def compared(found):
    """Rows of a table: the best peer, Keel, and their ratio, at each thread count; and all ratios."""
    rows, ratios = [], defaultdict(list)
    for workload, by_threads in found.items():
        cells = [workload]
        for threads in (1, 2):
            by = dict(by_threads.get(threads, {}))
            keel = by.pop("keel", None)
            if keel is None or not by:
                cells += ["–"] * 3
                continue
            best = min(by, key=by.get)
            ratios[threads].append(by[best] / max(keel, 1e-9))
            cells += [f"{number(by[best])} ({best})", number(keel), f"{ratios[threads][-1]:.2f}"]
        rows.append("| " + " | ".join(cells) + " |")
    return rows, ratios


def means(ratios):
    return ["{:.2f} at {} thread{}".format(prod(r) ** (1 / len(r)), t, "s" * (t > 1)) for t, r in sorted(ratios.items()) if r]


HEAD = ["| workload | fastest peer, 1 thread | Keel | ratio | fastest peer, 2 threads | Keel | ratio |", "|---|---|---|---|---|---|---|"]


def table(args):
    sys.dont_write_bytecode = True
    sys.path.insert(0, args.peers)
    import workloads
    group = {w.name: w.group for w in workloads.WORKLOADS.values()}
    old = open(args.to).read() if os.path.exists(args.to) else ""
    kept = [old[old.index(KEPT):]] if KEPT in old else []
    lines, memories, losses, runs = (read(args, name + ".jsonl") for name in ("times", "memory", "losses", "runs"))
    text = ["# Results", ""]
    for note in dict.fromkeys((r["machine"], r["date"], r["commit"], r["swift"]) for r in runs):
        text += [f"{note[1]}, {note[0]}; {note[3]}; commit {note[2]}.", ""]
    versions = dict.fromkeys(f"{line['peer']} {line['version']}" for line in lines if "version" in line)
    busiest = max((line.get("other_cores", 0) for line in lines), default=0)
    quiet = sum(line.get("other_cores", 0) <= 0.2 for line in lines if "median_ms" in line)
    count = sum("median_ms" in line for line in lines)
    text += [f"Median wall milliseconds over all rounds, contenders one after the other in each round; {', '.join(versions)}. The ratio is the",
             f"fastest peer's by Keel's: above 1 Keel is faster. Peers: {', '.join(CONTENDERS)}. Others kept at most {busiest} cores busy, and below",
             f"0.2 in {quiet} of {count} runs. `make bench-peers` makes this file anew.", ""]
    for title, wanted in (("Training steps", "train"), ("Inference", "infer"), ("Latency", "latency"), ("Microbenchmarks", "micro")):
        rows, ratios = compared(medians([line for line in lines if group.get(line["workload"]) == wanted], "median_ms"))
        if rows:
            text += [f"## {title}", "", *HEAD, *rows, "", f"Geometric mean of the ratios: {', '.join(means(ratios))}.", ""]
    measured = medians(lines, "median_ms")
    if measured:
        names = [c for c in CONTENDERS if any(c in by for threads in measured.values() for by in threads.values())]
        text += ["## Every contender", "", "| workload | threads | " + " | ".join(names + ["keel"]) + " |", "|---|---|" + "---|" * (len(names) + 1)]
        for workload, by_threads in measured.items():
            for threads, by in sorted(by_threads.items()):
                text.append(f"| {workload} | {threads} | " + " | ".join(number(by[c]) if c in by else "–" for c in names + ["keel"]) + " |")
        text.append("")
    failed = dict.fromkeys((line["contender"], line["workload"], line.get("error") or line.get("skipped"))
                           for line in lines + memories if "error" in line or "skipped" in line)
    if failed:
        text += ["Tried, and failed or lacking:", "", *(f"- {c}, {w}: {' '.join(why.split())}" for c, w, why in failed), ""]
    rows, _ = compared(medians(memories, "memory_mb"))
    if rows:
        text += ["## Memory", "", "MiB: the most that was resident from when data and network began to be made, minus what was resident then, one process a workload.",
                 "", *(HEAD[0].replace("fastest", "smallest"), HEAD[1]), *rows, ""]
    if losses:
        text += ["## Losses", "", "The same weights and data; how far the loss after 20 steps is from torch's, beside what is allowed: the larger of 0.001 and",
                 "three times the difference between torch at 1 and at 2 threads.", "", "| workload | torch | Keel | difference | allowed |", "|---|---|---|---|---|"]
        for line in {line["workload"]: line for line in losses}.values():
            text.append(f"| {line['workload']} | {line['torch']:.6f} | {line['keel']:.6f} | {abs(line['torch'] - line['keel']):.2g} | {line['allowed']:.2g} |")
        text.append("")
    with open(args.to, "w") as file:
        file.write("\n".join(text + kept))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("times", "memory", "table"))
    parser.add_argument("--peers", required=True)
    parser.add_argument("--keel")
    parser.add_argument("--out", required=True, help="the folder of the lines")
    parser.add_argument("--to", help="the file of the table")
    parser.add_argument("--workload", default="train")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quiet", type=float, default=60, help="wait up to so many seconds for others to be quiet before each contender")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    {"times": times, "memory": memory, "table": table}[args.what](args)


if __name__ == "__main__":
    main()
