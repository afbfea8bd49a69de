"""Writes golden_waveforms.json: sound files, written by hand (FLAC: by libFLAC), and their samples; waveforms at other
rates by scipy; a logarithmic mel spectrum by numpy; the bands of SpecAugment. needs: numpy, scipy, soundfile"""
import base64, io, json, math, pathlib, struct
from fractions import Fraction
import numpy as np, scipy.signal, soundfile
from golden_philox import Random

rng = np.random.default_rng(1)
def chunk(name, data): return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
def riff(*chunks): body = b"WAVE" + b"".join(chunks); return b"RIFF" + struct.pack("<I", len(body)) + body
def fmt(tag, channels, rate, bits, extra=b""):
    size = channels * bits // 8; return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * size, size, bits) + extra)
def extensible(channels, rate, bits):
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    return fmt(0xFFFE, channels, rate, bits, struct.pack("<HHI", 22, bits, (1 << channels) - 1) + guid)
def ints(bits, n, channels):
    m = 1 << bits - 1; x = rng.integers(-m, m, (n, channels)); x[0], x[1] = -m, m - 1; return x
def packed(x, bits): return b"".join(int(v).to_bytes(bits // 8, "little", signed=bits > 8) for v in x.ravel())
def mu(b): u = ~b & 255; t = ((u & 15) << 3) + 0x84 << (u >> 4 & 7); return (0x84 - t if u & 128 else t - 0x84)
def a(b):
    v = b ^ 0x55; s = v >> 4 & 7; t = (v & 15) << 4; t = t + 8 if s == 0 else t + 0x108 << s - 1
    return t if v & 128 else -t

files = {}
def add(name, data, rate, x): files[name] = dict(file=base64.b64encode(data).decode(), rate=rate, channels=np.asarray(x, "f8").T.tolist())
x = ints(8, 21, 1); add("wav 8-bit", riff(fmt(1, 1, 8000, 8), chunk(b"data", packed(x + 128, 8))), 8000, x / 128)
x = ints(16, 20, 2); add("wav 16-bit", riff(fmt(1, 2, 44100, 16), chunk(b"LIST", b"INFOabc"), chunk(b"data", packed(x, 16)), chunk(b"junk", b"xyz")), 44100, x / 2**15)
add("wav from a pipe", b"RIFF\xff\xff\xff\xffWAVE" + fmt(1, 2, 44100, 16) + b"data\xff\xff\xff\xff" + packed(x, 16), 44100, x / 2**15)
x = ints(24, 20, 3); add("wav 24-bit", riff(extensible(3, 96000, 24), chunk(b"data", packed(x, 24))), 96000, x / 2**23)
x = ints(32, 20, 1); add("wav 32-bit", riff(fmt(1, 1, 16000, 32), chunk(b"data", packed(x, 32))), 16000, x / 2**31)
x = rng.normal(size=(20, 1)).astype("f4"); add("wav float", riff(fmt(3, 1, 16000, 32), chunk(b"data", x.tobytes())), 16000, x)
x = rng.normal(size=(20, 2)); add("wav double", riff(fmt(3, 2, 22050, 64), chunk(b"data", x.tobytes())), 22050, x)
b = bytes(range(256)); add("wav mu-law", riff(fmt(7, 1, 8000, 8), chunk(b"data", b)), 8000, [[mu(v) / 2**15] for v in b])
add("wav a-law", riff(fmt(6, 1, 8000, 8), chunk(b"data", b)), 8000, [[a(v) / 2**15] for v in b])
for name, bits, channels in [("flac 16-bit", 16, 1), ("flac 24-bit", 24, 2)]:
    x = ints(bits, 40, channels); f = io.BytesIO()
    soundfile.write(f, (x << 32 - bits).astype("i4"), 48000, format="FLAC", subtype=f"PCM_{bits}"); add(name, f.getvalue(), 48000, x / 2**(bits - 1))
f = io.BytesIO(); soundfile.write(f, np.zeros(400), 8000, format="WAV", subtype="MS_ADPCM"); adpcm = base64.b64encode(f.getvalue()).decode()

def resampled(x, rate, to):
    ratio = Fraction(to, rate); up, down = ratio.numerator, ratio.denominator; cut = 0.95 * min(1, up / down); width = 64 / cut
    n = np.arange(-int(width * up), int(width * up) + 1) / up
    h = cut * np.sinc(cut * n) * np.i0(9.6 * np.sqrt(1 - (n / width) ** 2)) / np.i0(9.6)
    return scipy.signal.resample_poly(x, up, down, window=h / up)
x = rng.uniform(-1, 1, 150)
rates = [dict(rate=r, to=t, samples=np.round(resampled(np.round(x, 6), r, t), 8).tolist()) for r, t in [(44100, 16000), (16000, 44100), (8000, 16000), (48000, 16000), (16000, 11025)]]

def mel(f): return 2595 * np.log10(1 + f / 700)
i = np.arange(4410); stereo = [0.5 * np.sin(0.05 * i * (c + 1)) + 0.2 * np.sin(1e-4 * i * i) for c in range(2)]
y = resampled((stereo[0] + stereo[1]) / 2, 44100, 16000); window = np.pad(scipy.signal.get_window("hann", 400), 56); y = np.pad(y, 256, "reflect")
power = np.stack([np.abs(np.fft.rfft(y[s:s + 512] * window)) ** 2 for s in range(0, len(y) - 511, 160)], 1)
tips = 700 * (10 ** (np.linspace(mel(0), mel(8000), 22) / 2595) - 1); hertz = np.linspace(0, 8000, 257)
filters = np.stack([np.maximum(0, np.minimum((hertz - tips[m]) / (tips[m + 1] - tips[m]), (tips[m + 2] - hertz) / (tips[m + 2] - tips[m + 1]))) for m in range(20)])
logmel = np.round(np.log(np.maximum(filters @ power, 1e-6)), 6).tolist()

def warped(s, r, most):
    frames = s.shape[1]; most = min(most, frames // 4); place, way = r.unit(), r.unit()
    if most == 0: return s
    old = most + place * (frames - 1 - 2 * most); new = old + (2 * way - 1) * most
    return np.stack([np.interp(np.interp(np.arange(frames), [0, new, frames - 1], [0, old, frames - 1]), np.arange(frames), row) for row in s])

def augmented(r, mels=9, frames=14, warp=0):
    s = np.arange(mels * frames, dtype="f8").reshape(mels, frames); mean = s.mean()
    if warp: s = warped(s * s, r, warp); mean = (np.arange(mels * frames, dtype="f8") ** 2).mean()
    def band(count, most): w = min(int(r.unit() * (min(most, count) + 1)), count); start = int(r.unit() * (count - w + 1)); return slice(start, start + w)
    for _ in range(2): s[band(mels, 4)] = mean
    for _ in range(2): s[:, band(frames, min(6, int(0.4 * frames)))] = mean
    return s.tolist()

out = dict(files=files, adpcm=adpcm, source=np.round(x, 6).tolist(), resampled=rates, logmel=logmel, augmented=[augmented(Random(3, stream)) for stream in range(5)],
           warped=[np.round(augmented(Random(3, stream), frames=frames, warp=warp), 6).tolist() for stream, (frames, warp) in enumerate([(14, 2), (14, 9), (3, 4), (40, 7)])])
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out))
