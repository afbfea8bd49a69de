// How kernels are compiled: one source, several instruction sets, chosen when the program is loaded.
#ifndef KEEL_SIMD_H
#define KEEL_SIMD_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#define KEEL_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define KEEL_CLONES
#endif

#define KEEL_INLINE static inline __attribute__((always_inline, unused))

// Vectorised float sums need their order relaxed. The pragma goes first into the body of a reduction, never at file scope:
// elsewhere it would rewrite x * (e / (e + 1)) to (x * e) / (e + 1), which overflows.
#define KEEL_REASSOCIATE _Pragma("clang fp reassociate(on)")

// For vectors of 32 bytes. CHOSEN is a where the mask's bits are set, else b. STREAM stores past the caches, to an address that 32 divides;
// other threads see it after STREAMED_UNTIL_HERE.
#define CHOSEN(mask, a, b) ((__typeof__(a))(((mask) & (__typeof__(mask))(a)) | (~(mask) & (__typeof__(mask))(b))))
#define STREAM(address, value) __builtin_nontemporal_store(value, (float __attribute__((vector_size(32))) *)(address))
#define STREAMED_UNTIL_HERE __atomic_thread_fence(__ATOMIC_SEQ_CST)

// e^x = 2^n * the number returned, to about 1 ulp, after Cephes; for x in [-104, 89]. A NaN stays one.
KEEL_INLINE float keel_exp_parts(float x, int32_t *n) {
    // What is added to 1.5 * 2^23 is rounded to a whole number, which the low bits then hold.
    const float shifted = x * 1.44269504088896341f + 12582912.0f, whole = shifted - 12582912.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    *n = bits - 0x4b400000;
    float r = x - whole * 0.693359375f;
    r = r + whole * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * r * r + r + 1.0f;
}

// 2^n for n in [-126, 127].
KEEL_INLINE float keel_power_of_2(int32_t n) {
    const uint32_t bits = (uint32_t)(n + 127) << 23;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

// Below, a comparison that a NaN fails chooses x: one instruction, where a minimum that passes over NaN takes three.

// exp(x) to about 1 ulp. Saturates to 0 and infinity, keeps NaN.
KEEL_INLINE float keel_exp(float x) {
    const float least = -104.0f > x ? -104.0f : x;
    int32_t n;
    const float p = keel_exp_parts(89.0f < least ? 89.0f : least, &n);
    // Two factors, so that both overflow and gradual underflow come out right.
    const int32_t half = n >> 1;
    return p * keel_power_of_2(half) * keel_power_of_2(n - half);
}

// exp(x) for x that isn't above 0, where nothing overflows.
KEEL_INLINE float keel_exp_negative(float x) {
    int32_t n;
    const float p = keel_exp_parts(-104.0f > x ? -104.0f : x, &n);
    return p * keel_power_of_2(n + 24) * 0x1p-24f;
}

// Natural logarithm to about 1 ulp, after Cephes. log(0) = -inf, log of a negative number = NaN.
KEEL_INLINE float keel_log(float x) {
    const bool tiny = x < 1.17549435e-38f;
    const float scaled = tiny ? x * 8388608.0f : x;
    int32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    int32_t exponent = ((bits >> 23) & 0xff) - 126;
    const int32_t mantissa_bits = (bits & 0x007fffff) | 0x3f000000;
    float m;
    memcpy(&m, &mantissa_bits, sizeof m);
    const bool low = m < 0.707106781186547524f;
    float e = (float)(exponent - (tiny ? 23 : 0)) - (low ? 1.0f : 0.0f);
    const float t = (low ? m + m : m) - 1.0f;
    const float z = t * t;
    float p = 7.0376836292e-2f;
    p = p * t - 1.1514610310e-1f;
    p = p * t + 1.1676998740e-1f;
    p = p * t - 1.2420140846e-1f;
    p = p * t + 1.4249322787e-1f;
    p = p * t - 1.6668057665e-1f;
    p = p * t + 2.0000714765e-1f;
    p = p * t - 2.4999993993e-1f;
    p = p * t + 3.3333331174e-1f;
    float y = t * z * p + e * -2.12194440e-4f - 0.5f * z;
    y = t + y + e * 0.693359375f;
    y = x == INFINITY ? INFINITY : y;
    y = x == 0.0f ? -INFINITY : y;
    return x < 0.0f || x != x ? NAN : y;
}

// tanh: an odd polynomial near zero, 1 - 2 e^-2x / (1 + e^-2x) elsewhere.
KEEL_INLINE float keel_tanh(float x) {
    const float magnitude = __builtin_elementwise_abs(x);
    const float z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const float small = p * z * x + x;
    const float e = keel_exp_negative(-2.0f * magnitude);
    const float large = 1.0f - 2.0f * e / (1.0f + e);
    return magnitude < 0.625f ? small : __builtin_copysignf(large, x);
}

KEEL_INLINE float keel_sigmoid(float x) {
    const float e = keel_exp_negative(-__builtin_elementwise_abs(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// log(1 + e^-|x|): the part of softplus and of the logistic loss that stays small.
KEEL_INLINE float keel_log1p_exp_negative(float magnitude) {
    const float e = keel_exp_negative(-magnitude);
    const float u = 1.0f + e;
    return u == 1.0f ? e : keel_log(u) * (e / (u - 1.0f));
}

// erf as a rational function on [-4, 4], beyond which it is 1 in float (coefficients as in Eigen).
KEEL_INLINE float keel_erf(float x) {
    const float least = -4.0f > x ? -4.0f : x, t = 4.0f < least ? 4.0f : least;
    const float z = t * t;
    float p = -2.72614225801306e-10f;
    p = p * z + 2.77068142495902e-08f;
    p = p * z - 2.10102402082508e-06f;
    p = p * z - 5.69250639462346e-05f;
    p = p * z - 7.34990630326855e-04f;
    p = p * z - 2.95459980854025e-03f;
    p = p * z - 1.60960333262415e-02f;
    float q = -1.45660718464996e-05f;
    q = q * z - 2.13374055278905e-04f;
    q = q * z - 1.68282697438203e-03f;
    q = q * z - 7.37332916720468e-03f;
    q = q * z - 1.42647390514189e-02f;
    return t * p / q;
}

#define KEEL_INV_SQRT2 0.70710678118654752440f
#define KEEL_INV_SQRT_2PI 0.39894228040143267794f

#endif
