#ifndef KEEL_PACKED_H
#define KEEL_PACKED_H

#include <stdint.h>

/// How many floats a packed matrix [k, n] takes.
int64_t keel_packed_count(int64_t k, int64_t n);

/// Packs b [k, n], with any strides, for `keel_packed_product_f32`: panels of as many columns as a
/// tile has on this processor, 16 or 64, the last one of 16, 32, 48 or 64.
void keel_pack_f32(int64_t k, int64_t n, float *packed, const float *b, int64_t b_row, int64_t b_column);

/// c [m, n] = a [m, k] · b, added to what is there if `adds`; `a` has any strides, rows of `c` are dense and begin `c_row` floats apart.
/// Of b, which was packed with `packed_rows` rows, the first k rows and n columns count; unless they are all columns, n is a multiple of 64.
/// On the calling thread alone.
void keel_packed_product_f32(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_column, const float *packed, int64_t packed_rows, int32_t adds);

/// y [n] = x [k] · wᵀ + bias, of `w [n, k]` with dense rows `w_row` floats apart; a null bias is none. It reads `w` once, as it lies. On the calling thread
/// alone.
void keel_row_product_f32(int64_t n, int64_t k, float *y, const float *x, const float *w, int64_t w_row, const float *bias);

/// y [n] += x [k] · b, of which `packed` has all k rows; it reads only those whose number in `x` isn't zero, so b is finite. On the calling thread alone.
void keel_sparse_row_product_f32(int64_t n, int64_t k, float *y, const float *x, const float *packed);

/// c [m, n] = a [m, k] · b [k, n], added to what is there if `adds`, or to `bias` [n] in each row unless that is null; `a` and `b` have any
/// strides. On the calling thread alone.
void keel_product_f32(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, int64_t b_column, const float *bias, int32_t adds);

/// Whether `keel_product_f32` was measured to beat OpenBLAS at such a product on this processor.
int32_t keel_product_is_fast(int64_t m, int64_t n);

#endif
