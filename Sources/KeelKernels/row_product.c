#include "include/packed.h"
#include "simd.h"

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/// Rows of the matrix at a time, and registers a row: as many sums as hide each other's latency.
#define ROWS 4
#define REGISTERS 2
#define STEP (8 * REGISTERS)

KEEL_INLINE void dots(int rows, int64_t k, float *y, const float *x, const float *w, int64_t w_row, const float *bias) {
    eight sum[ROWS][REGISTERS];
    float rest[ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        rest[r] = bias ? bias[r] : 0;
        for (int v = 0; v < REGISTERS; v++) sum[r][v] = (eight){0};
    }
    int64_t p = 0;
    for (; p + STEP <= k; p += STEP)
#pragma clang loop unroll(full)
        for (int v = 0; v < REGISTERS; v++) {
            const eight left = *(const eight *)(x + p + 8 * v);
            if (v == 0)
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++) __builtin_prefetch(w + (ROWS + r) * w_row + p);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) sum[r][v] += left * *(const eight *)(w + r * w_row + p + 8 * v);
        }
    for (; p < k; p++)
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) rest[r] += x[p] * w[r * w_row + p];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        const eight s = sum[r][0] + sum[r][1];
        y[r] = (((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))) + rest[r];
    }
}

KEEL_CLONES void keel_row_product_f32(int64_t n, int64_t k, float *y, const float *x, const float *w, int64_t w_row, const float *bias) {
    int64_t i = 0;
    for (; i + ROWS <= n; i += ROWS) dots(ROWS, k, y + i, x, w + i * w_row, w_row, bias ? bias + i : 0);
    for (; i < n; i++) dots(1, k, y + i, x, w + i * w_row, w_row, bias ? bias + i : 0);
}
