#include "include/half.h"
#include "include/parallel.h"
#include "simd.h"

// Formulas without branches, so that they vectorise.

KEEL_INLINE float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

KEEL_INLINE uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

KEEL_INLINE float widened_bfloat16(uint16_t x) { return float_of((uint32_t)x << 16); }

KEEL_INLINE uint16_t narrowed_bfloat16(float x) {
    const uint32_t bits = bits_of(x);
    // What is cut off is carried from half a unit on, at just half only to an even number. The largest numbers carry into the exponent: infinity.
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)(x != x ? quiet : rounded);
}

KEEL_INLINE float widened_float16(uint16_t x) {
    const uint32_t magnitude = x & 0x7fff, sign = (uint32_t)(x & 0x8000) << 16, moved = magnitude << 13;
    const uint32_t normal = moved + (112u << 23);  // exponents count from 127 there, from 15 here
    const uint32_t special = moved | 0x7f800000 | (magnitude > 0x7c00 ? 0x400000 : 0);
    const uint32_t subnormal = bits_of((float)(int32_t)magnitude * 0x1p-24f);
    return float_of(sign | (magnitude >= 0x7c00 ? special : magnitude < 0x400 ? subnormal : normal));
}

KEEL_INLINE uint16_t narrowed_float16(float x) {
    const uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    const uint32_t normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - (112u << 23)) >> 13;
    // 0.5 has units of 2^-24, as subnormal numbers have here: the addition rounds to them.
    const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;
    const uint32_t quiet = 0x7e00 | (magnitude >> 13 & 0x3ff);
    const uint32_t finite = magnitude < 0x38800000 ? subnormal : normal;
    return (uint16_t)(sign | (magnitude > 0x7f800000 ? quiet : magnitude >= 0x47800000 ? 0x7c00 : finite));
}

void keel_reference_widen(keel_half kind, int64_t count, float *y, const uint16_t *x) {
    for (int64_t i = 0; i < count; i++) y[i] = kind == KEEL_BFLOAT16 ? widened_bfloat16(x[i]) : widened_float16(x[i]);
}

void keel_reference_narrow(keel_half kind, int64_t count, uint16_t *y, const float *x) {
    for (int64_t i = 0; i < count; i++) y[i] = kind == KEEL_BFLOAT16 ? narrowed_bfloat16(x[i]) : narrowed_float16(x[i]);
}

KEEL_CLONES static void widen_bfloat16(int64_t n, float *restrict y, const uint16_t *restrict x) {
    for (int64_t i = 0; i < n; i++) y[i] = widened_bfloat16(x[i]);
}

KEEL_CLONES static void narrow_bfloat16(int64_t n, uint16_t *restrict y, const float *restrict x) {
    for (int64_t i = 0; i < n; i++) y[i] = narrowed_bfloat16(x[i]);
}

// Most processors convert float16 themselves.
#if defined(__x86_64__) && !defined(KEEL_PLAIN_C)
#define CONVERTS __attribute__((target("arch=x86-64-v3")))
KEEL_INLINE bool converts(void) { return __builtin_cpu_supports("x86-64-v3"); }
#elif defined(__aarch64__) && !defined(KEEL_PLAIN_C)
#define CONVERTS
KEEL_INLINE bool converts(void) { return true; }
#endif

#ifdef CONVERTS
CONVERTS static void convert_from_float16(int64_t n, float *restrict y, const _Float16 *restrict x) {
    for (int64_t i = 0; i < n; i++) y[i] = (float)x[i];
}

CONVERTS static void convert_to_float16(int64_t n, _Float16 *restrict y, const float *restrict x) {
    for (int64_t i = 0; i < n; i++) y[i] = (_Float16)x[i];
}
#endif

static void widen_float16(int64_t n, float *restrict y, const uint16_t *restrict x) {
#ifdef CONVERTS
    if (converts()) {
        convert_from_float16(n, y, (const _Float16 *)(const void *)x);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++) y[i] = widened_float16(x[i]);
}

static void narrow_float16(int64_t n, uint16_t *restrict y, const float *restrict x) {
#ifdef CONVERTS
    if (converts()) {
        convert_to_float16(n, (_Float16 *)(void *)y, x);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++) y[i] = narrowed_float16(x[i]);
}

typedef struct {
    keel_half kind;
    void *y;
    const void *x;
} job;

static void widen_part(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    float *y = (float *)j->y + begin;
    const uint16_t *x = (const uint16_t *)j->x + begin;
    if (j->kind == KEEL_BFLOAT16) widen_bfloat16(end - begin, y, x);
    else widen_float16(end - begin, y, x);
}

static void narrow_part(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    uint16_t *y = (uint16_t *)j->y + begin;
    const float *x = (const float *)j->x + begin;
    if (j->kind == KEEL_BFLOAT16) narrow_bfloat16(end - begin, y, x);
    else narrow_float16(end - begin, y, x);
}

#define ELEMENTS_A_PART 32768

void keel_widen(keel_half kind, int64_t count, float *y, const uint16_t *x) {
    job j = {kind, y, x};
    keel_parallel(count, ELEMENTS_A_PART, widen_part, &j);
}

void keel_narrow(keel_half kind, int64_t count, uint16_t *y, const float *x) {
    job j = {kind, y, x};
    keel_parallel(count, ELEMENTS_A_PART, narrow_part, &j);
}
