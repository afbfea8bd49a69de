#include "include/scan.h"
#include "include/parallel.h"
#include "simd.h"

// Plain loops.

#define REFERENCE_SUM(type, total)                                                                                     \
    for (int64_t o = 0; o < outer; o++)                                                                                \
        for (int64_t j = 0; j < inner; j++) {                                                                          \
            total sum = 0;                                                                                             \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t at = (o * n + (reversed ? n - 1 - i : i)) * inner + j;                                   \
                if (exclusive) ((type *)y)[at] = (type)sum;                                                            \
                sum += (total)((const type *)x)[at];                                                                   \
                if (!exclusive) ((type *)y)[at] = (type)sum;                                                           \
            }                                                                                                          \
        }                                                                                                              \
    break;

void keel_reference_cumulative_sum(keel_dtype dtype, int32_t exclusive, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *y, const void *x) {
    switch (dtype) {
    case KEEL_FLOAT32: REFERENCE_SUM(float, double)
    case KEEL_FLOAT64: REFERENCE_SUM(double, double)
    case KEEL_INT32: REFERENCE_SUM(int32_t, uint32_t)
    case KEEL_INT64: REFERENCE_SUM(int64_t, uint64_t)
    case KEEL_UINT8: REFERENCE_SUM(uint8_t, uint32_t)
    case KEEL_BOOL: break;
    }
}

#define REFERENCE_RECURRENCE(type)                                                                                     \
    for (int64_t o = 0; o < outer; o++)                                                                                \
        for (int64_t j = 0; j < inner; j++) {                                                                          \
            double state = 0;                                                                                          \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t at = (o * n + (reversed ? n - 1 - i : i)) * inner + j;                                   \
                const double b_i = (double)((const type *)b)[at];                                                      \
                state = i == 0 ? b_i : (double)((const type *)a)[at] * state + b_i;                                    \
                ((type *)s)[at] = (type)state;                                                                         \
            }                                                                                                          \
        }

void keel_reference_recurrence(keel_dtype dtype, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *s, const void *a, const void *b) {
    if (dtype == KEEL_FLOAT32) REFERENCE_RECURRENCE(float)
    else REFERENCE_RECURRENCE(double)
}

// Fast: several columns, or several rows, go on side by side, each in its own order.

#define LANES 32
#define ROWS 4

typedef struct {
    int32_t exclusive, reversed;
    int64_t n, inner, tiles;
    void *y;
    const void *x, *a;
} scan_job;

// A tile is `lanes` neighbouring columns of one [n, inner] matrix, or, where inner is 1, ROWS rows.
#define SUM(type, total, name)                                                                                         \
    KEEL_CLONES static void name##_columns(const scan_job *j, int64_t lanes, type *restrict y, const type *restrict x) { \
        total sums[LANES] = {0};                                                                                       \
        const int64_t n = j->n, step = j->reversed ? -j->inner : j->inner;                                             \
        int64_t at = j->reversed ? (n - 1) * j->inner : 0;                                                             \
        if (j->exclusive)                                                                                              \
            for (int64_t i = 0; i < n; i++, at += step)                                                                \
                for (int64_t lane = 0; lane < lanes; lane++) {                                                         \
                    const type value = x[at + lane];                                                                   \
                    y[at + lane] = (type)sums[lane];                                                                   \
                    sums[lane] += (total)value;                                                                        \
                }                                                                                                      \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++, at += step)                                                                \
                for (int64_t lane = 0; lane < lanes; lane++) {                                                         \
                    sums[lane] += (total)x[at + lane];                                                                 \
                    y[at + lane] = (type)sums[lane];                                                                   \
                }                                                                                                      \
    }                                                                                                                  \
    static void name##_rows(const scan_job *j, int64_t rows, type *restrict y, const type *restrict x) {               \
        const int64_t n = j->n;                                                                                        \
        int64_t row = 0;                                                                                               \
        for (; row + ROWS <= rows; row += ROWS) {                                                                      \
            total sums[ROWS] = {0};                                                                                    \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t at = row * n + (j->reversed ? n - 1 - i : i);                                            \
                for (int64_t r = 0; r < ROWS; r++) {                                                                   \
                    const total before = sums[r];                                                                      \
                    sums[r] += (total)x[at + r * n];                                                                   \
                    y[at + r * n] = (type)(j->exclusive ? before : sums[r]);                                           \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        for (; row < rows; row++) {                                                                                    \
            total sum = 0;                                                                                             \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t at = row * n + (j->reversed ? n - 1 - i : i);                                            \
                const total before = sum;                                                                              \
                sum += (total)x[at];                                                                                   \
                y[at] = (type)(j->exclusive ? before : sum);                                                           \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(void *context, int64_t begin, int64_t end) {                                                      \
        const scan_job *j = context;                                                                                   \
        if (j->inner == 1) {                                                                                           \
            name##_rows(j, end - begin, (type *)j->y + begin * j->n, (const type *)j->x + begin * j->n);               \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t item = begin; item < end; item++) {                                                               \
            const int64_t first = item % j->tiles * LANES, start = item / j->tiles * j->n * j->inner + first;          \
            const int64_t lanes = j->inner - first < LANES ? j->inner - first : LANES;                                 \
            name##_columns(j, lanes, (type *)j->y + start, (const type *)j->x + start);                                \
        }                                                                                                              \
    }
SUM(float, double, sum_f32)
SUM(double, double, sum_f64)
SUM(int32_t, uint32_t, sum_i32)
SUM(int64_t, uint64_t, sum_i64)
SUM(uint8_t, uint32_t, sum_u8)

static void run(keel_body body, scan_job *j, int64_t outer) {
    j->tiles = (j->inner + LANES - 1) / LANES;
    const int64_t each = j->n * (j->inner < LANES ? j->inner : LANES);
    keel_parallel(outer * j->tiles, 16384 / (each + 1) + 1, body, j);
}

void keel_cumulative_sum(keel_dtype dtype, int32_t exclusive, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *y, const void *x) {
    scan_job j = {exclusive, reversed, n, inner, 0, y, x, NULL};
    switch (dtype) {
    case KEEL_FLOAT32: run(sum_f32, &j, outer); break;
    case KEEL_FLOAT64: run(sum_f64, &j, outer); break;
    case KEEL_INT32: run(sum_i32, &j, outer); break;
    case KEEL_INT64: run(sum_i64, &j, outer); break;
    case KEEL_UINT8: run(sum_u8, &j, outer); break;
    case KEEL_BOOL: break;
    }
}

#define RECURRENCE(type, name)                                                                                         \
    KEEL_CLONES static void name##_columns(const scan_job *j, int64_t lanes, type *restrict s, const type *restrict a, const type *restrict b) { \
        double states[LANES] = {0};                                                                                    \
        const int64_t step = j->reversed ? -j->inner : j->inner;                                                       \
        int64_t at = j->reversed ? (j->n - 1) * j->inner : 0;                                                          \
        for (int64_t i = 0; i < j->n; i++, at += step)                                                                 \
            for (int64_t lane = 0; lane < lanes; lane++) {                                                             \
                states[lane] = (i == 0 ? 0 : (double)a[at + lane] * states[lane]) + (double)b[at + lane];              \
                s[at + lane] = (type)states[lane];                                                                     \
            }                                                                                                          \
    }                                                                                                                  \
    static void name##_rows(const scan_job *j, int64_t rows, type *restrict s, const type *restrict a, const type *restrict b) { \
        const int64_t n = j->n;                                                                                        \
        for (int64_t row = 0; row < rows; row += ROWS) {                                                               \
            const int64_t many = rows - row < ROWS ? rows - row : ROWS;                                                \
            double states[ROWS] = {0};                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t at = row * n + (j->reversed ? n - 1 - i : i);                                            \
                for (int64_t r = 0; r < many; r++) {                                                                   \
                    states[r] = (i == 0 ? 0 : (double)a[at + r * n] * states[r]) + (double)b[at + r * n];              \
                    s[at + r * n] = (type)states[r];                                                                   \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(void *context, int64_t begin, int64_t end) {                                                      \
        const scan_job *j = context;                                                                                   \
        type *s = j->y;                                                                                                \
        const type *a = j->a, *b = j->x;                                                                               \
        if (j->inner == 1) {                                                                                           \
            name##_rows(j, end - begin, s + begin * j->n, a + begin * j->n, b + begin * j->n);                         \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t item = begin; item < end; item++) {                                                               \
            const int64_t first = item % j->tiles * LANES, start = item / j->tiles * j->n * j->inner + first;          \
            const int64_t lanes = j->inner - first < LANES ? j->inner - first : LANES;                                 \
            name##_columns(j, lanes, s + start, a + start, b + start);                                                 \
        }                                                                                                              \
    }
RECURRENCE(float, recur_f32)
RECURRENCE(double, recur_f64)

void keel_recurrence(keel_dtype dtype, int32_t reversed, int64_t outer, int64_t n, int64_t inner, void *s, const void *a, const void *b) {
    scan_job j = {0, reversed, n, inner, 0, s, b, a};
    run(dtype == KEEL_FLOAT32 ? recur_f32 : recur_f64, &j, outer);
}
