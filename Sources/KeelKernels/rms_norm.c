#include "include/rms_norm.h"
#include "include/parallel.h"
#include "simd.h"

#define COLUMNS 64

typedef struct {
    int64_t rows, n;
    float epsilon;
    float *out, *out2;
    const float *dy, *x, *scale, *inverse;
} rms_job;

KEEL_CLONES static float square_run(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

KEEL_CLONES static void scale_row(int64_t n, float *restrict y, const float *restrict x, float inverse, const float *restrict scale) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * inverse * scale[i];
}

static void rms_rows(void *context, int64_t begin, int64_t end) {
    const rms_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const float *x = j->x + r * j->n;
        const float inverse = 1.0f / sqrtf(square_run(j->n, x) / (float)j->n + j->epsilon);
        scale_row(j->n, j->out + r * j->n, x, inverse, j->scale);
        j->out2[r] = inverse;
    }
}

void keel_rms_norm_f32(int64_t rows, int64_t n, float epsilon, float *y, float *inverse, const float *x, const float *scale) {
    rms_job j = {rows, n, epsilon, y, inverse, 0, x, scale, 0};
    keel_parallel(rows, 16384 / (n + 1) + 1, rms_rows, &j);
}

KEEL_CLONES static float product_run(int64_t n, const float *restrict dy, const float *restrict x, const float *restrict scale) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += dy[i] * scale[i] * x[i];
    return sum;
}

KEEL_CLONES static void slope_row(int64_t n, float *restrict dx, const float *restrict dy, const float *restrict x, const float *restrict scale, float inverse, float along) {
    for (int64_t i = 0; i < n; i++) dx[i] = inverse * (dy[i] * scale[i] - x[i] * along);
}

static void rms_slopes(void *context, int64_t begin, int64_t end) {
    const rms_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const float *dy = j->dy + r * j->n, *x = j->x + r * j->n;
        const float inverse = j->inverse[r];
        const float along = product_run(j->n, dy, x, j->scale) / (float)j->n * inverse * inverse;
        slope_row(j->n, j->out + r * j->n, dy, x, j->scale, inverse, along);
    }
}

KEEL_CLONES static void column_sums(int64_t rows, int64_t n, int64_t columns, float *restrict dscale, const float *restrict dy, const float *restrict x, const float *restrict inverse) {
    double total[COLUMNS] = {0};
    for (int64_t r0 = 0; r0 < rows; r0 += 64) {
        float part[COLUMNS] = {0};
        const int64_t r1 = r0 + 64 < rows ? r0 + 64 : rows;
        for (int64_t r = r0; r < r1; r++)
            for (int64_t i = 0; i < columns; i++) part[i] += dy[r * n + i] * x[r * n + i] * inverse[r];
        for (int64_t i = 0; i < columns; i++) total[i] += part[i];
    }
    for (int64_t i = 0; i < columns; i++) dscale[i] = (float)total[i];
}

static void rms_columns(void *context, int64_t begin, int64_t end) {
    const rms_job *j = context;
    for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * COLUMNS, columns = j->n - first < COLUMNS ? j->n - first : COLUMNS;
        column_sums(j->rows, j->n, columns, j->out2 + first, j->dy + first, j->x + first, j->inverse);
    }
}

void keel_rms_norm_gradient_f32(int64_t rows, int64_t n, float *dx, float *dscale, const float *dy, const float *x, const float *scale, const float *inverse) {
    rms_job j = {rows, n, 0, dx, dscale, dy, x, scale, inverse};
    keel_parallel(rows, 16384 / (n + 1) + 1, rms_slopes, &j);
    keel_parallel((n + COLUMNS - 1) / COLUMNS, 32768 / (rows * COLUMNS + 1) + 1, rms_columns, &j);
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_rms_norm_##suffix(int64_t rows, int64_t n, double epsilon, type *y, type *inverse,             \
                                          const type *x, const type *scale) {                                          \
        for (int64_t r = 0; r < rows; r++, x += n, y += n) {                                                           \
            double squares = 0;                                                                                        \
            for (int64_t i = 0; i < n; i++) squares += (double)x[i] * x[i];                                            \
            const double v = 1 / sqrt(squares / (double)n + epsilon);                                                  \
            for (int64_t i = 0; i < n; i++) y[i] = (type)(x[i] * v * scale[i]);                                        \
            inverse[r] = (type)v;                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_rms_norm_gradient_##suffix(int64_t rows, int64_t n, type *dx, type *dscale, const type *dy,    \
                                                   const type *x, const type *scale, const type *inverse) {            \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            double sum = 0;                                                                                            \
            for (int64_t r = 0; r < rows; r++) sum += (double)dy[r * n + i] * x[r * n + i] * inverse[r];               \
            dscale[i] = (type)sum;                                                                                     \
        }                                                                                                              \
        for (int64_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {                                                 \
            const double v = inverse[r];                                                                               \
            double product = 0;                                                                                        \
            for (int64_t i = 0; i < n; i++) product += (double)dy[i] * scale[i] * x[i];                                \
            for (int64_t i = 0; i < n; i++)                                                                            \
                dx[i] = (type)(v * ((double)dy[i] * scale[i] - x[i] * v * v * product / (double)n));                   \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
