"""Writes golden_augmentation.json: pictures with boxes and masks, changed by Pillow, scipy and colorsys after what Philox
draws. needs: numpy, scipy, pillow"""
import base64, colorsys, json, math, pathlib
import numpy as np, scipy.ndimage
from PIL import Image, ImageEnhance, ImageOps
from golden_philox import Random

W, H, SEED = 16, 12, 9
y, x = np.mgrid[0:H, 0:W]
pixels = np.stack([40 + 170 * x / W, 200 - 150 * y / H, 128 + 90 * np.sin(x / 3) * np.cos(y / 4)], -1)
pixels[3:6, 2:7] = [220, 60, 30]; pixels = pixels.round().astype("u1")
mask = (x // 4 + 4 * (y // 4)).astype("u1")
boxes = [(2, 3, 7, 6, 1), (10.5, 0, 16, 4.25, 2), (0, 9, 3, 12, 3)]

def b64(a): return base64.b64encode(np.ascontiguousarray(a, "u1").tobytes()).decode()
cases = {}
def add(name, stream, picture, tolerance, boxes=boxes, mask=mask):
    picture = np.asarray(picture)
    cases.setdefault(name, []).append(dict(stream=stream, width=picture.shape[1], height=picture.shape[0], pixels=b64(picture), boxes=boxes, mask=b64(mask), tolerance=tolerance))

def moved_places(m, w, h):
    """`m` gives the source of a place, as a 3 x 3 matrix: what becomes of boxes and mask."""
    back, found = np.linalg.inv(m), []
    for l, t, r, b, label in boxes:
        corners = back @ np.array([[l, r, l, r], [t, t, b, b], [1, 1, 1, 1]])
        whole = [corners[0].min(), corners[1].min(), corners[0].max(), corners[1].max()]
        seen = [min(max(whole[0], 0), w), min(max(whole[1], 0), h), min(max(whole[2], 0), w), min(max(whole[3], 0), h)]
        area = lambda v: (v[2] - v[0]) * (v[3] - v[1])
        if area(seen) > 0 and area(seen) >= 0.1 * area(whole): found.append((*seen, label))
    sx, sy = sources(m, w, h); inside = (sx >= 0) & (sx < W) & (sy >= 0) & (sy < H)
    return found, np.where(inside, mask[np.floor(sy).clip(0, H - 1).astype(int), np.floor(sx).clip(0, W - 1).astype(int)], 255)
def sources(m, w, h):
    ty, tx = np.mgrid[0:h, 0:w] + 0.5; s = m @ np.stack([tx.ravel(), ty.ravel(), np.ones(w * h)]); return s[0].reshape(h, w), s[1].reshape(h, w)
def sampled(m, w, h):
    sx, sy = sources(m, w, h)
    return np.stack([scipy.ndimage.map_coordinates(pixels[..., c].astype("f8"), [sy - 0.5, sx - 0.5], order=1, mode="nearest") for c in range(3)], -1).round()
def around(a=1, b=0, d=0, e=1, right=0, down=0):
    middle = lambda s: np.array([[1, 0, s * W / 2], [0, 1, s * H / 2], [0, 0, 1]])
    return middle(1) @ np.array([[a, b, 0], [d, e, 0], [0, 0, 1]]) @ middle(-1) @ np.array([[1, 0, -right], [0, 1, -down], [0, 0, 1]])
def add_moved(name, stream, m, tolerance, w=W, h=H): add(name, stream, sampled(m, w, h), tolerance, *moved_places(m, w, h))

seen = set()
for stream in range(40):
    r = Random(SEED, stream); across, down = r.unit() < 0.5, r.unit() < 0.5
    if (across, down) in seen: continue
    seen.add((across, down)); m = around(a=-1 if across else 1, e=-1 if down else 1)
    p = pixels[:, ::-1] if across else pixels; p = p[::-1] if down else p; add("flip", stream, p, 0, *moved_places(m, W, H))
for stream in range(4):
    r = Random(SEED, stream); left = int(r.unit() * (W + 4 - 9 + 1)) - 2; top = int(r.unit() * (H + 4 - 7 + 1)) - 2
    p = np.pad(pixels, ((2, 2), (2, 2), (0, 0)), "edge")[top + 2:top + 9, left + 2:left + 11]
    add("crop", stream, p, 0, *moved_places(np.array([[1, 0, left], [0, 1, top], [0, 0, 1]]), 9, 7))
    r = Random(SEED, stream); area = (0.08 + r.unit() * 0.92) * W * H; ratio = math.exp(math.log(3 / 4) + r.unit() * math.log(16 / 9))
    w, h = min(math.sqrt(area * ratio), W), min(math.sqrt(area / ratio), H); left, top = r.unit() * (W - w), r.unit() * (H - h)
    p = Image.fromarray(pixels).resize((10, 8), Image.BILINEAR, box=(left, top, left + w, top + h))
    add("resized crop", stream, p, 1, *moved_places(np.array([[w / 10, 0, left], [0, h / 8, top], [0, 0, 1]]), 10, 8))
    r = Random(SEED, stream); u = [r.unit() for _ in range(7)]; s = [2 * v - 1 for v in u]
    angle, scale, mirror = math.radians(25 * s[1]), 1 + 0.3 * s[2], -1 if u[0] < 0.5 else 1; c, n = math.cos(angle) / scale, math.sin(angle) / scale
    add_moved("moves", stream, around(mirror * c, mirror * n, -n, c, 0.2 * s[3] * W, 0.2 * s[4] * H), 2)

image = Image.fromarray(pixels)
def hue(turn):
    def f(p): h, s, v = colorsys.rgb_to_hsv(*p / 255); return np.round(255 * np.array(colorsys.hsv_to_rgb((h + turn) % 1, s, v)))
    return np.apply_along_axis(f, -1, pixels.astype("f8"))
for stream in range(3):
    r = Random(SEED, stream); s = [2 * r.unit() - 1 for _ in range(4)]
    for i, (name, kind) in enumerate([("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)]):
        add(name, stream, kind(image).enhance(1 + 0.8 * s[i]), 1)
    add("hue", stream, hue(0.5 * s[3]), 0)

share, seen = 17 / 30, set()
for stream in range(400):
    r = Random(SEED, stream); op = int(r.unit() * 14); sign = -1 if r.unit() < 0.5 else 1; a = sign * share
    if (op, sign) in seen or op in (0, 10, 11, 12, 13) and (op, -sign) in seen: continue
    seen.add((op, sign)); angle = math.radians(30 * a)
    if op in (1, 2, 3, 4, 5):
        add_moved("rand-augment", stream, [around(b=0.3 * a), around(d=0.3 * a), around(right=150 / 331 * W * a), around(down=150 / 331 * H * a),
                                           around(math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle))][op - 1], 2)
    elif op in (6, 7, 8, 9): add("rand-augment", stream, [ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Sharpness][op - 6](image).enhance(1 + 0.9 * a), 1)
    else: add("rand-augment", stream, {0: lambda i: i, 10: lambda i: ImageOps.posterize(i, 6), 11: lambda i: ImageOps.solarize(i, 256 * (1 - share)), 12: ImageOps.autocontrast, 13: ImageOps.equalize}[op](image), 0)
assert len(seen) == 23

pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(dict(width=W, height=H, pixels=b64(pixels), boxes=boxes, mask=b64(mask), cases=cases)))
