#include "include/fft.h"
#include "simd.h"

// Numbers `at` and `at + 1` are one complex number.
static double get(keel_dtype dtype, const void *x, int64_t at) { return dtype == KEEL_FLOAT32 ? (double)((const float *)x)[at] : ((const double *)x)[at]; }

static void set(keel_dtype dtype, void *y, int64_t at, double value) {
    if (dtype == KEEL_FLOAT32) ((float *)y)[at] = (float)value;
    else ((double *)y)[at] = value;
}

static double angle(int64_t i, int64_t k, int64_t n) { return 6.28318530717958647693 * (double)((__uint128_t)i * (__uint128_t)k % (__uint128_t)n) / (double)n; }

void keel_reference_fft(keel_dtype dtype, int32_t inverse, double scale, int64_t outer, int64_t n, int64_t inner, void *y, const void *x) {
    for (int64_t o = 0; o < outer; o++)
        for (int64_t j = 0; j < inner; j++)
            for (int64_t k = 0; k < n; k++) {
                double r = 0, m = 0;
                for (int64_t i = 0; i < n; i++) {
                    const int64_t at = 2 * ((o * n + i) * inner + j);
                    const double a = angle(i, k, n), c = cos(a), s = inverse ? sin(a) : -sin(a);
                    r += get(dtype, x, at) * c - get(dtype, x, at + 1) * s;
                    m += get(dtype, x, at) * s + get(dtype, x, at + 1) * c;
                }
                const int64_t at = 2 * ((o * n + k) * inner + j);
                set(dtype, y, at, scale * r);
                set(dtype, y, at + 1, scale * m);
            }
}

void keel_reference_real_fft(keel_dtype dtype, double scale, int64_t outer, int64_t n, int64_t inner, void *y, const void *x) {
    const int64_t bins = n / 2 + 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t j = 0; j < inner; j++)
            for (int64_t k = 0; k < bins; k++) {
                double r = 0, m = 0;
                for (int64_t i = 0; i < n; i++) {
                    const double value = get(dtype, x, (o * n + i) * inner + j), a = angle(i, k, n);
                    r += value * cos(a);
                    m -= value * sin(a);
                }
                const int64_t at = 2 * ((o * bins + k) * inner + j);
                set(dtype, y, at, scale * r);
                set(dtype, y, at + 1, scale * m);
            }
}

void keel_reference_inverse_real_fft(keel_dtype dtype, double scale, int64_t outer, int64_t n, int64_t inner, void *y, const void *x) {
    const int64_t bins = n / 2 + 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t j = 0; j < inner; j++)
            for (int64_t i = 0; i < n; i++) {
                double sum = 0;
                for (int64_t k = 0; k < bins; k++) {
                    // A number between the ends stands for its conjugate too.
                    const int64_t at = 2 * ((o * bins + k) * inner + j);
                    const double a = angle(i, k, n), weight = k == 0 || 2 * k == n ? 1 : 2;
                    sum += weight * (get(dtype, x, at) * cos(a) - (weight == 1 ? 0 : get(dtype, x, at + 1) * sin(a)));
                }
                set(dtype, y, (o * n + i) * inner + j, scale * sum);
            }
}

void keel_reference_overlap_add(keel_dtype dtype, int64_t rows, int64_t frames, int64_t length, int64_t hop, int64_t count, void *y, const void *x) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t t = 0; t < count; t++) {
            double sum = 0;
            for (int64_t f = 0; f < frames; f++)
                if (t >= f * hop && t - f * hop < length) sum += get(dtype, x, (row * frames + f) * length + t - f * hop);
            set(dtype, y, row * count + t, sum);
        }
}
