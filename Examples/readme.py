# Writes README.md from the programs, as they are.
import os

TITLES = {
    "classifier": "Train a classifier",
    "resume": "Interrupt and resume",
    "custom-layer": "A layer of your own",
    "custom-loss": "A loss of your own",
    "transfer": "Transfer learning",
    "gan": "A generative adversarial network",
    "sequences": "Sequences of unequal length",
    "two-optimizers": "Two optimisers",
    "second-order": "Gradients of gradients",
    "pictures": "A data pipeline",
    "multi-input": "Several inputs",
    "profiling": "What it costs",
}
HEAD = """# Twelve programs, in Keel, PyTorch and PaddlePaddle

Each is a whole program that does the same thing three times. Keel's are in `Keel/`, a package of its own; `Tests/ExamplesTests`
builds and runs them, and checks the last number that each prints. The others need PyTorch, PaddlePaddle and safetensors from PyPI.
Try one:

    cd Keel && swift run -c release classifier ../data/breast-cancer.csv

Lines, without empty ones, comments and docstrings; a closing brace alone counts:

| program | Keel | PyTorch | PaddlePaddle |
|---|---|---|---|
"""


def line_count(text, comment):
    lines = [line.strip() for line in text.splitlines()]
    return sum(1 for line in lines if line and not line.startswith((comment, '"""')))


os.chdir(os.path.dirname(os.path.abspath(__file__)))
table, sections = "", ""
for name, title in TITLES.items():
    programs = [
        ("swift", "//", open(f"Keel/Sources/{name}/main.swift").read()),
        ("python", "#", open(f"Torch/{name}.py").read()),
        ("python", "#", open(f"Paddle/{name}.py").read()),
    ]
    counts = " | ".join(str(line_count(text, comment)) for _, comment, text in programs)
    table += f"| [{title}](#{title.lower().replace(' ', '-')}) | {counts} |\n"
    cells = "".join(f'<td valign="top">\n\n```{language}\n{text}```\n\n</td>' for language, _, text in programs)
    sections += (
        f"\n## {title}\n\n<table>\n<tr><th>Keel: <code>{name}</code></th><th>PyTorch</th><th>PaddlePaddle</th></tr>\n"
        f"<tr>{cells}</tr>\n</table>\n"
    )
open("README.md", "w").write(HEAD + table + sections)
