#ifndef KEEL_INDEXING_H
#define KEEL_INDEXING_H

#include <stdint.h>

/// The position of the first index outside `-n..<n`, or -1. Indices are int64 or int32.
int64_t keel_first_bad_index(int32_t is_64_bit, int64_t count, const void *indices, int64_t n);

/// out[o, i, :] = x[o, indices[i], :], rows of `row_bytes`. Negative indices count from the end.
void keel_gather(int64_t outer, int64_t n, int64_t row_bytes, int32_t is_64_bit, int64_t count, const void *indices, void *out, const void *x);

/// out[o, indices[i], :] += x[o, i, :]; `out` [outer, n, inner] is cleared first. The order of additions is that of i.
void keel_scatter_add_f32(int64_t outer, int64_t n, int64_t inner, int32_t is_64_bit, int64_t count, const void *indices, float *out, const float *x);
void keel_scatter_add_f64(int64_t outer, int64_t n, int64_t inner, int32_t is_64_bit, int64_t count, const void *indices, double *out, const double *x);

/// out[i, :] = one at indices[i], zero elsewhere; for elements of 4 (float), 8 (double) or 1 (bool) bytes. Indices outside give a zero row.
void keel_one_hot(int32_t width, int32_t is_64_bit, int64_t count, int64_t depth, const void *indices, void *out);

#endif
