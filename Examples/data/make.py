#!/usr/bin/env python3
"""Writes digits.zip and breast-cancer.csv, byte for byte the same on every run. README.md says where they come from.

usage: make.py [FOLDER]     needs Python 3.9+ and scikit-learn 1.5
"""
import csv
import pathlib
import struct
import sys
import zipfile
import zlib

from sklearn.datasets import load_breast_cancer, load_digits


def png(rows):
    """An 8-bit grey PNG."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")


def write_digits(path):
    digits = load_digits()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, (image, label) in enumerate(zip(digits.images, digits.target)):
            entry = zipfile.ZipInfo(f"{label}/{number:04}.png", (1998, 7, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            # 0 to 16, the pixels set in a block of 4x4, becomes 0 to 255.
            archive.writestr(entry, png([[round(value * 255 / 16) for value in row] for row in image.tolist()]))


def write_breast_cancer(path):
    table = load_breast_cancer()
    names = [name.replace(" ", "_") for name in table.feature_names]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, "diagnosis"])
        for row, label in zip(table.data.tolist(), table.target):
            writer.writerow([*(f"{value:.10g}" for value in row), table.target_names[label]])


folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
write_digits(folder / "digits.zip")
write_breast_cancer(folder / "breast-cancer.csv")
