#ifndef KEEL_SCAN_H
#define KEEL_SCAN_H

#include "elementwise.h"

/// y[o, i, j] = Σ x[o, 0...i, j], without x[o, i, j] if exclusive, from the other end if reversed. Floats are added up in double,
/// whole numbers wrap around.
void keel_reference_cumulative_sum(keel_dtype dtype, int32_t exclusive, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *y, const void *x);
void keel_cumulative_sum(keel_dtype dtype, int32_t exclusive, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *y, const void *x);

/// s[o, i, j] = a[o, i, j] * s[o, i - 1, j] + b[o, i, j], the first one b alone; from the other end if reversed. For floats; computed
/// in double.
void keel_reference_recurrence(keel_dtype dtype, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *s, const void *a, const void *b);
void keel_recurrence(keel_dtype dtype, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *s, const void *a, const void *b);

#endif
