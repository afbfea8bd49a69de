#ifndef KEEL_PADDING_H
#define KEEL_PADDING_H

#include "elementwise.h"

/// What stands beyond an edge of [a, b, c, d]: a value; ... c b | a b c d | c b ...; a a | a b c d | d d; or c d | a b c d | a b.
typedef enum : int32_t { KEEL_PAD_CONSTANT, KEEL_PAD_REFLECT, KEEL_PAD_EDGE, KEEL_PAD_WRAP } keel_pad_mode;

/// How many elements an array has along each axis, and how many are put before and after them.
typedef struct {
    keel_pad_mode mode;
    int32_t rank;
    int64_t sizes[KEEL_MAX_RANK], before[KEEL_MAX_RANK], after[KEEL_MAX_RANK];
} keel_padding;

/// Every axis but padded ones holds an element at least unless the result holds none, and a reflection needs more elements than it
/// adds on a side. Elements are `width` bytes wide (1, 2, 4 or 8), `value` is the constant one.
void keel_reference_pad(int32_t width, const keel_padding *p, void *y, const void *x, const void *value);
void keel_pad(int32_t width, const keel_padding *p, void *y, const void *x, const void *value);

/// dx[o, i, j] = Σ dy[o, m, j] over all m that padding one axis of n made of i; dy is [outer, before + n + after, inner]. Not for constants.
void keel_reference_unpad(keel_dtype dtype, keel_pad_mode mode, int64_t outer, int64_t n, int64_t inner, int64_t before, int64_t after, void *dx, const void *dy);
void keel_unpad(keel_dtype dtype, keel_pad_mode mode, int64_t outer, int64_t n, int64_t inner, int64_t before, int64_t after, void *dx, const void *dy);

#endif
