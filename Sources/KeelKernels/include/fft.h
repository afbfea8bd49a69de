#ifndef KEEL_FFT_H
#define KEEL_FFT_H

#include "elementwise.h"

#define KEEL_FFT_MAX_FACTORS 40

/// How a discrete Fourier transform is done: by factors of the length, or, where that has a large prime, by Bluestein's convolution
/// of a smooth length `m`. Tables hold complex numbers of the transform's own kind.
typedef struct {
    int64_t n, m;      // m is n unless `chirp` is there
    int32_t count;     // of factors of m
    int32_t factors[KEEL_FFT_MAX_FACTORS];
    const void *roots;     // m numbers e^(-2πi k / m)
    const void *chirp;     // n numbers e^(-πi k² / n)
    const void *spectrum;  // m numbers: the transform of the chirp's conjugate, divided by m
    const void *twist;     // for real transforms of even length 2n: n + 1 numbers e^(-πi k / n)
} keel_fft_plan;

/// Numbers that a part of the work needs for scratch, when `rows` transforms are to be done.
int64_t keel_fft_scratch(const keel_fft_plan *plan, int64_t rows);

/// y[o, k, j] = scale Σ x[o, i, j] e^(∓2πi ik/n), of complex numbers; `parts` threads, each with its scratch.
void keel_fft(keel_dtype dtype, const keel_fft_plan *plan, int32_t inverse, double scale, int64_t outer, int64_t inner, void *y, const void *x,
              int64_t parts, void *scratch);
/// The first n/2 + 1 numbers of the transform of real ones. For an even n, the plan is that of n/2.
void keel_real_fft(keel_dtype dtype, const keel_fft_plan *plan, int64_t n, double scale, int64_t outer, int64_t inner, void *y, const void *x,
                   int64_t parts, void *scratch);
/// The inverse of that; what should be real in the input is taken as real.
void keel_inverse_real_fft(keel_dtype dtype, const keel_fft_plan *plan, int64_t n, double scale, int64_t outer, int64_t inner, void *y,
                           const void *x, int64_t parts, void *scratch);

// The sums as they are defined.
void keel_reference_fft(keel_dtype dtype, int32_t inverse, double scale, int64_t outer, int64_t n, int64_t inner, void *y, const void *x);
void keel_reference_real_fft(keel_dtype dtype, double scale, int64_t outer, int64_t n, int64_t inner, void *y, const void *x);
void keel_reference_inverse_real_fft(keel_dtype dtype, double scale, int64_t outer, int64_t n, int64_t inner, void *y, const void *x);

/// y[r, f * hop + i] += x[r, f, i] from 0 on; `y` has `count` numbers a row.
void keel_overlap_add(keel_dtype dtype, int64_t rows, int64_t frames, int64_t length, int64_t hop, int64_t count, void *y, const void *x);
void keel_reference_overlap_add(keel_dtype dtype, int64_t rows, int64_t frames, int64_t length, int64_t hop, int64_t count, void *y, const void *x);

#endif
