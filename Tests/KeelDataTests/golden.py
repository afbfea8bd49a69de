#!/usr/bin/env python3
"""Writes GoldenPictures.swift: small picture files and what Pillow (and turbojpeg, for YCCK) makes of them.
usage: golden.py > ../KeelDecoders/GoldenPictures.swift        needs: pip install pillow numpy; libturbojpeg"""
import base64, ctypes, io, struct, sys, zlib
import numpy
from PIL import Image, ImageOps

def scene(w, h):
    """Soft gradients with one hard edge, so that filters and orientations show."""
    y, x = numpy.mgrid[0:h, 0:w]
    a = numpy.stack([255 * x / w, 255 * y / h, 128 + 100 * numpy.sin(x / 3) * numpy.cos(y / 4)], -1)
    a[: h // 3, : w // 4] = [250, 20, 30]
    return Image.fromarray(a.round().astype("uint8"), "RGB")

def chunk(t, d): return struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
def png(w, h, depth, color, rows, interlaced=False, extra=b""):
    """`rows(xs, ys)` gives the packed bytes of the pixels at these columns and rows, a list of rows."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        xs, ys = range(x0, w, dx), range(y0, h, dy)
        if len(xs) and len(ys): raw += b"".join(b"\0" + r for r in rows(xs, ys))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, interlaced)) + extra +
            chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))

def saved(image, kind, **options):
    b = io.BytesIO(); image.save(b, kind, **options); return b.getvalue()
def on_white(image):
    image = image.convert("RGBA"); paper = Image.new("RGBA", image.size, "white"); paper.alpha_composite(image); return paper.convert("RGB")
def pillow(data): return on_white(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))

W, H = 13, 9
base = scene(W, H)
alpha = Image.fromarray(((numpy.mgrid[0:H, 0:W].sum(0) * 12) % 256).astype("uint8"))
rgba = base.copy(); rgba.putalpha(alpha)
grey = base.convert("L"); la = grey.copy(); la.putalpha(alpha)
px = numpy.asarray(rgba).astype(">u2") * 257 - numpy.asarray(rgba) % 3 * 40
pixels = numpy.asarray(rgba)

cases = []
def add(name, data, expected): cases.append((name, data, expected))
for name, image in [("rgb", base), ("rgba", rgba), ("grey", grey), ("grey-alpha", la), ("palette", base.quantize(16)), ("one-bit", grey.convert("1"))]:
    data = saved(image, "PNG"); add("png " + name, data, pillow(data))
p = base.quantize(16); data = saved(p, "PNG", transparency=3); add("png palette-transparent", data, pillow(data))
data = png(W, H, 16, 6, lambda xs, ys: [px[y, list(xs)].astype(">u2").tobytes() for y in ys])
eight = Image.fromarray(((px.astype("u4") * 255 + 32767) // 65535).astype("uint8"), "RGBA"); add("png rgba-16-bit", data, on_white(eight))
g16 = px[..., 0]
add("png grey-16-bit", png(W, H, 16, 0, lambda xs, ys: [g16[y, list(xs)].astype(">u2").tobytes() for y in ys]),
    Image.fromarray(((g16.astype("u4") * 255 + 32767) // 65535).astype("uint8")).convert("RGB"))
data = png(W, H, 8, 6, lambda xs, ys: [pixels[y, list(xs)].tobytes() for y in ys], interlaced=True); add("png rgba-interlaced", data, pillow(data))
data = png(W, H, 8, 2, lambda xs, ys: [pixels[y, list(xs), :3].tobytes() for y in ys], interlaced=True); add("png rgb-interlaced", data, pillow(data))
tiff = lambda o: b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HH", o, 0) + b"\0\0\0\0"
data = png(W, H, 8, 2, lambda xs, ys: [pixels[y, list(xs), :3].tobytes() for y in ys], extra=chunk(b"eXIf", tiff(6))); add("png exif-6", data, pillow(data))
for name, image, options in [("rgb-444", base, dict(subsampling=0)), ("rgb-420", base, dict(subsampling=2)), ("progressive", base, dict(progressive=True)),
                             ("grey", grey, {}), ("cmyk-adobe", base.convert("CMYK"), dict(subsampling=0))]:
    data = saved(image, "JPEG", quality=92, **options); add("jpeg " + name, data, pillow(data))
plain = saved(base.convert("CMYK"), "JPEG", quality=92, subsampling=0)
at = plain.find(b"\xff\xee"); cut = plain[:at] + plain[at + 2 + struct.unpack(">H", plain[at + 2:at + 4])[0]:]
inks = 255 - numpy.asarray(Image.open(io.BytesIO(plain))).astype(int)  # without the marker the stored values are the inks
add("jpeg cmyk-plain", cut, Image.fromarray(((255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255).round().astype("uint8"), "RGB"))
for o in range(1, 9):
    e = Image.Exif(); e[0x0112] = o
    data = saved(base, "JPEG", quality=92, subsampling=0, exif=e); add(f"jpeg exif-{o}", data, pillow(data))

tj = ctypes.CDLL("libturbojpeg.so.0"); tj.tjInitCompress.restype = ctypes.c_void_p
out, size = ctypes.POINTER(ctypes.c_ubyte)(), ctypes.c_ulong()
cmyk = (255 - numpy.asarray(base.convert("CMYK"))).tobytes()
assert tj.tjCompress2(ctypes.c_void_p(tj.tjInitCompress()), cmyk, W, W * 4, H, 11, ctypes.byref(out), ctypes.byref(size), 0, 92, 0) == 0
data = ctypes.string_at(out, size.value); add("jpeg ycck-adobe", data, pillow(data))

big = scene(47, 31); source = saved(big, "PNG")
resized = []
for w, h, box in [(16, 11, None), (5, 7, None), (47, 9, None), (64, 50, None), (24, 24, (8, 0, 39, 31)), (1, 1, None)]:
    resized.append((w, h, "crop" if box else "stretch", big.resize((w, h), Image.BILINEAR, box=box)))

def b64(d): return base64.b64encode(d).decode()
print("// Written by KeelDataTests/golden.py; don't edit.\n")
print("/// A picture file, and the upright RGB that it holds.")
print("package struct GoldenPicture: Sendable, CustomStringConvertible {\n    package let description: String\n    package let width, height: Int\n    package let file, pixels: String\n}\n")
print("package let goldenPictures: [GoldenPicture] = [")
for name, data, image in cases:
    image = image.convert("RGB")
    print(f'    GoldenPicture(\n        description: "{name}", width: {image.width}, height: {image.height},\n        file: "{b64(data)}",\n        pixels: "{b64(image.tobytes())}"),')
print("]\n")
print(f'/// The source of `goldenResizes`, a PNG of {big.width} x {big.height}.\npackage let goldenSource = "{b64(source)}"\n')
print("/// What Pillow's BILINEAR makes of it.\npackage struct GoldenResize: Sendable, CustomStringConvertible {\n    package let width, height: Int\n    package let isCropped: Bool\n    package let pixels: String\n    package var description: String { \"\\(width) x \\(height)\" }\n}\n")
print("package let goldenResizes: [GoldenResize] = [")
for w, h, fit, image in resized:
    print(f'    GoldenResize(\n        width: {w}, height: {h}, isCropped: {"true" if fit == "crop" else "false"},\n        pixels: "{b64(image.tobytes())}"),')
print("]")
