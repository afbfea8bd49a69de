#ifndef KEEL_PRODUCTS_H
#define KEEL_PRODUCTS_H

#include <stdint.h>

// z[m, n] = a[m, k] · b[k, n] with any strides (in elements), in plain loops. `z` is dense.
void keel_reference_product_f32(int64_t m, int64_t n, int64_t k, float *z, const float *a, int64_t am, int64_t ak, const float *b, int64_t bk, int64_t bn);
void keel_reference_product_f64(int64_t m, int64_t n, int64_t k, double *z, const double *a, int64_t am, int64_t ak, const double *b, int64_t bk, int64_t bn);

#endif
