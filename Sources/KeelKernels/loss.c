#include "include/loss.h"
#include "include/parallel.h"
#include "simd.h"

KEEL_INLINE int64_t label_at(const void *labels, int32_t is_64_bit, int64_t i) {
    return is_64_bit ? ((const int64_t *)labels)[i] : ((const int32_t *)labels)[i];
}

static int64_t first_bad_label(int64_t rows, int64_t classes, const void *labels, int32_t is_64_bit) {
    for (int64_t r = 0; r < rows; r++) {
        const int64_t label = label_at(labels, is_64_bit, r);
        if (label < 0 || label >= classes) return r;
    }
    return -1;
}

typedef struct {
    int64_t classes;
    float smoothing, factor;
    int32_t is_64_bit;
    const void *labels;
    const float *weight, *x, *saved;
    float *loss, *mass, *lse, *dx;
} loss_job;

KEEL_CLONES static float row_max(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float best = -INFINITY;
    for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

KEEL_CLONES static float row_exp_sum(int64_t n, const float *restrict x, float top) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += keel_exp(x[i] - top);
    return sum;
}

KEEL_CLONES static float row_sum(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

static void losses(void *context, int64_t begin, int64_t end) {
    const loss_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const float *x = j->x + r * j->classes;
        const int64_t label = label_at(j->labels, j->is_64_bit, r);
        const float top = row_max(j->classes, x);
        const float lse = top + logf(row_exp_sum(j->classes, x, top));
        const float weight = j->weight ? j->weight[label] : 1.0f;
        float expected = (1.0f - j->smoothing) * x[label];
        if (j->smoothing != 0) expected += j->smoothing * row_sum(j->classes, x) / (float)j->classes;
        j->lse[r] = lse;
        j->mass[r] = weight;
        j->loss[r] = weight * (lse - expected);
    }
}

int64_t keel_cross_entropy_f32(int64_t rows, int64_t classes, float smoothing, int32_t is_64_bit, const void *labels, const float *weight, float *loss, float *mass, float *lse, const float *x) {
    const int64_t bad = first_bad_label(rows, classes, labels, is_64_bit);
    if (bad >= 0) return bad;
    loss_job j = {classes, smoothing, 0, is_64_bit, labels, weight, x, 0, loss, mass, lse, 0};
    keel_parallel(rows, 8192 / (classes + 1) + 1, losses, &j);
    return -1;
}

KEEL_CLONES static void slope_row(int64_t n, float *restrict dx, const float *restrict x, float lse, float factor, float even) {
    for (int64_t i = 0; i < n; i++) dx[i] = factor * (keel_exp(x[i] - lse) - even);
}

static void slopes(void *context, int64_t begin, int64_t end) {
    const loss_job *j = context;
    for (int64_t r = begin; r < end; r++) {
        const int64_t label = label_at(j->labels, j->is_64_bit, r);
        const float factor = j->factor * (j->weight ? j->weight[label] : 1.0f);
        slope_row(j->classes, j->dx + r * j->classes, j->x + r * j->classes, j->saved[r], factor, j->smoothing / (float)j->classes);
        j->dx[r * j->classes + label] -= factor * (1.0f - j->smoothing);
    }
}

void keel_cross_entropy_gradient_f32(int64_t rows, int64_t classes, float smoothing, int32_t is_64_bit, const void *labels, const float *weight, float factor, float *dx, const float *x, const float *lse) {
    loss_job j = {classes, smoothing, factor, is_64_bit, labels, weight, x, lse, 0, 0, 0, dx};
    keel_parallel(rows, 8192 / (classes + 1) + 1, slopes, &j);
}

#define REFERENCE(type, suffix)                                                                                        \
    int64_t keel_reference_cross_entropy_##suffix(int64_t rows, int64_t classes, double smoothing, int32_t is_64_bit,  \
                                                  const void *labels, const type *weight, type *loss, type *mass,      \
                                                  type *saved, const type *x) {                                        \
        const int64_t bad = first_bad_label(rows, classes, labels, is_64_bit);                                         \
        if (bad >= 0) return bad;                                                                                      \
        for (int64_t r = 0; r < rows; r++, x += classes) {                                                             \
            const int64_t label = label_at(labels, is_64_bit, r);                                                      \
            double top = -INFINITY, sum = 0, expected = (1 - smoothing) * x[label];                                    \
            for (int64_t i = 0; i < classes; i++) if (x[i] > top) top = x[i];                                          \
            for (int64_t i = 0; i < classes; i++) sum += exp(x[i] - top);                                              \
            for (int64_t i = 0; i < classes; i++) expected += smoothing * x[i] / (double)classes;                      \
            const double lse = top + log(sum), w = weight ? weight[label] : 1;                                         \
            saved[r] = (type)lse;                                                                                      \
            mass[r] = (type)w;                                                                                         \
            loss[r] = (type)(w * (lse - expected));                                                                    \
        }                                                                                                              \
        return -1;                                                                                                     \
    }                                                                                                                  \
    void keel_reference_cross_entropy_gradient_##suffix(int64_t rows, int64_t classes, double smoothing,               \
                                                        int32_t is_64_bit, const void *labels, const type *weight,     \
                                                        double factor, type *dx, const type *x, const type *saved) {   \
        for (int64_t r = 0; r < rows; r++, x += classes, dx += classes) {                                              \
            const int64_t label = label_at(labels, is_64_bit, r);                                                      \
            const double f = factor * (weight ? weight[label] : 1);                                                    \
            for (int64_t i = 0; i < classes; i++)                                                                      \
                dx[i] = (type)(f * (exp((double)x[i] - saved[r]) - smoothing / (double)classes -                       \
                                    (i == label ? 1 - smoothing : 0)));                                                \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
