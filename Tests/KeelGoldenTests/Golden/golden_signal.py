#!/usr/bin/env python3
"""Writes golden_signal.safetensors: what PyTorch makes, in float64, of linear algebra, Fourier transforms, mel filters and audio.
golden_file.py says how they are stored.
usage: golden_signal.py > golden_signal.safetensors        needs: pip install torch numpy scipy"""
import numpy as np
import scipy.fft
import torch
from golden_file import case, drawn, write

# Linear algebra
def eye(n): return torch.eye(n, dtype=torch.float64)
def definite(a): return a @ a.mT / a.shape[-1] + 2 * eye(a.shape[-1])
def regular(a): return a + 6 * eye(a.shape[-1])
def spread(a):
    diagonal = torch.zeros(a.shape[-2:], dtype=torch.float64)
    diagonal.fill_diagonal_(3.0)
    return 0.3 * a + diagonal * torch.arange(1, a.shape[-1] + 1, dtype=torch.float64)
def positive(u):
    """The sign that makes the number of largest magnitude in each column positive."""
    return u.gather(-2, u.abs().argmax(-2, keepdim=True)).sign().detach()
def svd(a):
    u, s, vh = torch.linalg.svd(spread(a), full_matrices=False)
    return torch.cat([(u * positive(u)).flatten(), s.flatten(), (vh * positive(u).mT).flatten()])
def eigen(a):
    w, v = torch.linalg.eigh((spread(a) + spread(a).mT) / 2)
    return torch.cat([w.flatten(), (v * positive(v)).flatten()])
def qr(a):
    q, r = torch.linalg.qr(spread(a))
    return torch.cat([q.flatten(), r.flatten()])
case("cholesky", [drawn("cholesky", 2, 4, 4)], lambda a: torch.linalg.cholesky(definite(a)))
case("solveUpper", [drawn("solveUpper", 2, 4, 4), drawn("solveUpperb", 2, 4, 3)], lambda a, b: torch.linalg.solve_triangular(regular(a), b, upper=True))
case("solveLower", [drawn("solveLower", 4, 4), drawn("solveLowerb", 4, 3)], lambda a, b: torch.linalg.solve_triangular(regular(a), b, upper=False))
case("solve", [drawn("solve", 2, 4, 4), drawn("solveb", 2, 4, 3)], lambda a, b: torch.linalg.solve(regular(a), b))
case("inverse", [drawn("inverse", 2, 4, 4)], lambda a: torch.linalg.inv(regular(a)))
case("determinant", [drawn("determinant", 2, 3, 3)], torch.linalg.det)
case("logDeterminant", [drawn("logDeterminant", 2, 4, 4)], lambda a: torch.linalg.slogdet(regular(a)).logabsdet)
for name, shape in [("Tall", (2, 5, 3)), ("Wide", (3, 5))]:
    case("qr" + name, [drawn("qr" + name, *shape)], qr)
    case("svd" + name, [drawn("svd" + name, *shape)], svd)
    m, n = shape[-2:]
    case("leastSquares" + name, [drawn("leastSquares" + name, *shape), drawn(f"leastSquares{name}b", *shape[:-1], 2)], lambda a, b: torch.linalg.pinv(spread(a)) @ b)
case("symmetricEigen", [drawn("symmetricEigen", 2, 4, 4)], eigen)

# Fourier transforms: complex numbers are a last axis of two.
real, complex_ = torch.view_as_real, torch.view_as_complex
case("fft", [drawn("fft", 2, 12, 2)], lambda z: real(torch.fft.fft(complex_(z))))
case("fftPrime", [drawn("fftPrime", 37, 2)], lambda z: real(torch.fft.fft(complex_(z), norm="forward")))
case("inverseFFT", [drawn("inverseFFT", 3, 10, 2)], lambda z: real(torch.fft.ifft(complex_(z), norm="ortho")))
case("fft2", [drawn("fft2", 5, 6, 2)], lambda z: real(torch.fft.fft2(complex_(z))))
case("realFFT", [drawn("realFFT", 2, 12)], lambda x: real(torch.fft.rfft(x)))
case("realFFTOdd", [drawn("realFFTOdd", 2, 15)], lambda x: real(torch.fft.rfft(x, norm="ortho")))
case("realFFT2", [drawn("realFFT2", 4, 6)], lambda x: real(torch.fft.rfft2(x)))
case("inverseRealFFT", [drawn("inverseRealFFT", 2, 7, 2)], lambda z: torch.fft.irfft(complex_(z)))
case("inverseRealFFTOdd", [drawn("inverseRealFFTOdd", 2, 7, 2)], lambda z: torch.fft.irfft(complex_(z), n=13))
case("frames", [drawn("frames", 2, 13)], lambda x: x.unfold(-1, 5, 3))
case("overlapAdd", [drawn("overlapAdd", 4, 5)], lambda x: torch.nn.functional.fold(x.mT, (1, 11), (1, 5), stride=(1, 2)).flatten())

def hann(n): return torch.hann_window(n, dtype=torch.float64)
def stft(x, n, hop, window, **options): return torch.stft(x, n, hop, len(window), window, return_complex=True, **options)
case("stft", [drawn("stft", 2, 60)], lambda x: real(stft(x, 16, 5, hann(12))))
case("stftPlain", [drawn("stftPlain", 60)], lambda x: real(stft(x, 16, 4, torch.hamming_window(16, dtype=torch.float64), center=False, normalized=True)))
case("inverseSTFT", [drawn("inverseSTFT", 9, 6, 2)], lambda z: torch.istft(complex_(z), 16, 5, 12, hann(12), length=23))

# Mel filters and what is made of them, by torchaudio's formulas (melscale_fbanks, MelSpectrogram, MFCC).
def mel_of(hz, slaney): return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1e-9) / 1000) / (np.log(6.4) / 27)) if slaney else 2595 * np.log10(1 + hz / 700)
def hz_of(mel, slaney): return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15))) if slaney else 700 * (10 ** (mel / 2595) - 1)
def filters(bins, mels, rate, low, high, slaney, area):
    freqs = np.linspace(0, rate // 2, bins)
    tips = hz_of(np.linspace(mel_of(np.array(low), slaney), mel_of(np.array(high), slaney), mels + 2), slaney)
    slopes = tips[None, :] - freqs[:, None]
    bank = np.maximum(0, np.minimum(-slopes[:, :-2] / np.diff(tips)[:-1], slopes[:, 2:] / np.diff(tips)[1:]))
    return torch.from_numpy(bank * (2 / (tips[2:] - tips[:-2]) if area else 1))
def mel(x, **options): return filters(65, 10, 8000, **options).mT @ stft(x, 128, 60, hann(128)).abs().square()
def cepstrum(x):
    level = 10 * mel(x, low=100, high=4000, slaney=False, area=False).clamp_min(1e-10).log10()
    level = torch.maximum(level, level.amax((-2, -1), keepdim=True) - 80)
    return torch.from_numpy(scipy.fft.dct(np.eye(10), norm="ortho", axis=0))[:7] @ level
case("mel", [drawn("mel", 2, 300)], lambda x: mel(x, low=100, high=4000, slaney=False, area=False))
case("logMel", [drawn("logMel", 300)], lambda x: mel(x, low=0, high=3800, slaney=True, area=True).clamp_min(1e-10).log())
case("cepstrum", [drawn("cepstrum", 2, 300)], cepstrum)
write()
