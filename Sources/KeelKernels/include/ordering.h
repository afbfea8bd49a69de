#ifndef KEEL_ORDERING_H
#define KEEL_ORDERING_H

#include "elementwise.h"

/// The first `k` of each row of `n` in ascending (or, if `largest`, descending) order: their numbers, and where they stood. Equal
/// numbers keep their order, as do -0 and 0. NaN comes after all in ascending order, before all in descending order.
void keel_reference_top_k(keel_dtype dtype, int32_t largest, int64_t rows, int64_t n, int64_t k, void *values, int64_t *indices, const void *x);

/// Rows are handed out in `parts`; `scratch` holds `parts * keel_top_k_scratch(...)` bytes, 16-byte aligned. n < 2^32.
void keel_top_k(
    keel_dtype dtype, int32_t largest, int64_t rows, int64_t n, int64_t k, void *values, int64_t *indices, const void *x, int64_t parts,
    void *scratch);
int64_t keel_top_k_scratch(keel_dtype dtype, int64_t n, int64_t k);

#endif
