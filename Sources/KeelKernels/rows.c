#include "include/rows.h"
#include "include/parallel.h"
#include "simd.h"

typedef struct {
    int64_t n;
    float *out;
    const float *a, *b;
} row_job;

KEEL_CLONES static float largest(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float best = -INFINITY;
    for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

KEEL_CLONES static float exp_shifted(int64_t n, float *restrict y, const float *restrict x, float shift) {
    for (int64_t i = 0; i < n; i++) y[i] = keel_exp_negative(x[i] - shift);
    {
        KEEL_REASSOCIATE
        float sum = 0;
        for (int64_t i = 0; i < n; i++) sum += y[i];
        return sum;
    }
}

KEEL_CLONES static void scale(int64_t n, float *restrict y, float factor) {
    for (int64_t i = 0; i < n; i++) y[i] *= factor;
}

KEEL_CLONES static void subtract(int64_t n, float *restrict y, const float *restrict x, float shift) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] - shift;
}

KEEL_CLONES static float dot(int64_t n, const float *restrict a, const float *restrict b) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

KEEL_CLONES static float total(int64_t n, const float *restrict a) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i];
    return sum;
}

KEEL_CLONES static void softmax_slope(int64_t n, float *restrict dx, const float *restrict dy, const float *restrict y, float mean) {
    for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - mean);
}

KEEL_CLONES static void log_softmax_slope(int64_t n, float *restrict dx, const float *restrict dy, const float *restrict y, float sum) {
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] - keel_exp(y[i]) * sum;
}

static void softmax(void *context, int64_t begin, int64_t end) {
    const row_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        float *y = j->out + r * j->n;
        const float *x = j->a + r * j->n;
        scale(j->n, y, 1.0f / exp_shifted(j->n, y, x, largest(j->n, x)));
    }
}

static void log_softmax(void *context, int64_t begin, int64_t end) {
    const row_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        float *y = j->out + r * j->n;
        const float *x = j->a + r * j->n;
        const float top = largest(j->n, x), sum = exp_shifted(j->n, y, x, top);
        subtract(j->n, y, x, top + logf(sum));
    }
}

static void softmax_gradient(void *context, int64_t begin, int64_t end) {
    const row_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const int64_t at = r * j->n;
        softmax_slope(j->n, j->out + at, j->a + at, j->b + at, dot(j->n, j->a + at, j->b + at));
    }
}

static void log_softmax_gradient(void *context, int64_t begin, int64_t end) {
    const row_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const int64_t at = r * j->n;
        log_softmax_slope(j->n, j->out + at, j->a + at, j->b + at, total(j->n, j->a + at));
    }
}

static void over_rows(int64_t rows, int64_t n, keel_body body, float *out, const float *a, const float *b) {
    row_job j = {n, out, a, b};
    keel_parallel(rows, 8192 / (n + 1) + 1, body, &j);
}

void keel_softmax_f32(int64_t rows, int64_t n, float *y, const float *x) { over_rows(rows, n, softmax, y, x, 0); }
void keel_log_softmax_f32(int64_t rows, int64_t n, float *y, const float *x) { over_rows(rows, n, log_softmax, y, x, 0); }
void keel_softmax_gradient_f32(int64_t rows, int64_t n, float *dx, const float *dy, const float *y) { over_rows(rows, n, softmax_gradient, dx, dy, y); }
void keel_log_softmax_gradient_f32(int64_t rows, int64_t n, float *dx, const float *dy, const float *y) { over_rows(rows, n, log_softmax_gradient, dx, dy, y); }

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_softmax_##suffix(int64_t rows, int64_t n, type *y, const type *x) {                            \
        for (int64_t r = 0; r < rows; r++, y += n, x += n) {                                                           \
            double top = -INFINITY, sum = 0;                                                                           \
            for (int64_t i = 0; i < n; i++) if (x[i] > top) top = x[i];                                                \
            for (int64_t i = 0; i < n; i++) sum += exp(x[i] - top);                                                    \
            for (int64_t i = 0; i < n; i++) y[i] = (type)(exp(x[i] - top) / sum);                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_log_softmax_##suffix(int64_t rows, int64_t n, type *y, const type *x) {                        \
        for (int64_t r = 0; r < rows; r++, y += n, x += n) {                                                           \
            double top = -INFINITY, sum = 0;                                                                           \
            for (int64_t i = 0; i < n; i++) if (x[i] > top) top = x[i];                                                \
            for (int64_t i = 0; i < n; i++) sum += exp(x[i] - top);                                                    \
            for (int64_t i = 0; i < n; i++) y[i] = (type)(x[i] - top - log(sum));                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_softmax_gradient_##suffix(int64_t rows, int64_t n, type *dx, const type *dy, const type *y) {  \
        for (int64_t r = 0; r < rows; r++, dx += n, dy += n, y += n) {                                                 \
            double sum = 0;                                                                                            \
            for (int64_t i = 0; i < n; i++) sum += (double)dy[i] * y[i];                                               \
            for (int64_t i = 0; i < n; i++) dx[i] = (type)(y[i] * (dy[i] - sum));                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_log_softmax_gradient_##suffix(int64_t rows, int64_t n, type *dx, const type *dy, const type *y) { \
        for (int64_t r = 0; r < rows; r++, dx += n, dy += n, y += n) {                                                 \
            double sum = 0;                                                                                            \
            for (int64_t i = 0; i < n; i++) sum += dy[i];                                                              \
            for (int64_t i = 0; i < n; i++) dx[i] = (type)(dy[i] - exp((double)y[i]) * sum);                           \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
