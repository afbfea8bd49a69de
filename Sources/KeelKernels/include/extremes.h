#ifndef KEEL_EXTREMES_H
#define KEEL_EXTREMES_H

#include "elementwise.h"

/// y[o, i, j] = the largest (or smallest) of x[o, 0...i, j], and place[o, i, j] = the last i where it is; a NaN wins and stays.
void keel_cumulative_extreme(int32_t largest, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, void *y, int64_t *place, const void *x);
void keel_reference_cumulative_extreme(int32_t largest, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, void *y, int64_t *place, const void *x);

#endif
