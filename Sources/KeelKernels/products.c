#include "include/products.h"

#define PRODUCT(type, suffix)                                                                                          \
    void keel_reference_product_##suffix(int64_t m, int64_t n, int64_t k, type *z, const type *a, int64_t am,          \
                                         int64_t ak, const type *b, int64_t bk, int64_t bn) {                          \
        for (int64_t i = 0; i < m; i++)                                                                                \
            for (int64_t j = 0; j < n; j++) {                                                                          \
                double sum = 0;                                                                                        \
                for (int64_t p = 0; p < k; p++) sum += (double)a[i * am + p * ak] * b[p * bk + j * bn];                \
                z[i * n + j] = (type)sum;                                                                              \
            }                                                                                                          \
    }
PRODUCT(float, f32)
PRODUCT(double, f64)
