#include "include/loss.h"
#include "include/parallel.h"
#include "simd.h"

KEEL_INLINE int64_t label_at(const keel_cross_entropy *s, int64_t row) {
    return s->labels_are_64_bit ? ((const int64_t *)s->labels)[row] : ((const int32_t *)s->labels)[row];
}

KEEL_INLINE bool is_ignored(const keel_cross_entropy *s, int64_t label) { return s->ignores && label == s->ignored; }

static int64_t first_bad_label(const keel_cross_entropy *s) {
    for (int64_t row = 0; row < s->rows; row++) {
        const int64_t label = label_at(s, row);
        if ((label < 0 || label >= s->classes) && !is_ignored(s, label)) return row;
    }
    return -1;
}

/// What smoothing gives each class, before its weight.
KEEL_INLINE double evenly(const keel_cross_entropy *s) { return s->smoothing / (double)s->classes; }

typedef struct {
    const keel_cross_entropy *s;
    /// The sum of all weights.
    float total, divisor;
    const float *x, *saved, *dy;
    int64_t dy_stride;
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
    for (int64_t i = 0; i < n; i++) sum += keel_exp_negative(x[i] - top);
    return sum;
}

KEEL_CLONES static float row_sum(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

KEEL_CLONES static float row_product(int64_t n, const float *restrict x, const float *restrict weight) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += weight[i] * x[i];
    return sum;
}

static float total_weight(const keel_cross_entropy *s) { return s->weight ? row_sum(s->classes, s->weight) : (float)s->classes; }

static void losses(void *context, int64_t begin, int64_t end) {
    const loss_job *j = context;
    const keel_cross_entropy *s = j->s;
    const float own = (float)(1 - s->smoothing), even = (float)evenly(s), *weight = s->weight;
    for (int64_t r = begin; r < end; r++) {
        const float *x = j->x + r * s->classes;
        const int64_t label = label_at(s, r);
        if (is_ignored(s, label)) {
            j->lse[r] = j->mass[r] = j->loss[r] = 0;
            continue;
        }
        const float top = row_max(s->classes, x), lse = top + logf(row_exp_sum(s->classes, x, top)), w = weight ? weight[label] : 1.0f;
        float mass = own * w, expected = own * w * x[label];
        if (even != 0) {
            mass += even * j->total;
            expected += even * (weight ? row_product(s->classes, x, weight) : row_sum(s->classes, x));
        }
        j->lse[r] = lse;
        j->mass[r] = w;
        j->loss[r] = mass * lse - expected;
    }
}

int64_t keel_cross_entropy_f32(const keel_cross_entropy *s, float *loss, float *mass, float *lse, const float *x) {
    const int64_t bad = first_bad_label(s);
    if (bad >= 0) return bad;
    loss_job j = {.s = s, .total = total_weight(s), .x = x, .loss = loss, .mass = mass, .lse = lse};
    keel_parallel(s->rows, 8192 / (s->classes + 1) + 1, losses, &j);
    return -1;
}

KEEL_CLONES static void slope_row(int64_t n, float *restrict dx, const float *restrict x, float lse, float factor, float even) {
    for (int64_t i = 0; i < n; i++) dx[i] = factor * keel_exp_negative(x[i] - lse) - even;
}

KEEL_CLONES static void take_weights(int64_t n, float *restrict dx, float even, const float *restrict weight) {
    for (int64_t i = 0; i < n; i++) dx[i] -= even * weight[i];
}

static void slopes(void *context, int64_t begin, int64_t end) {
    const loss_job *j = context;
    const keel_cross_entropy *s = j->s;
    const float own = (float)(1 - s->smoothing), even = (float)evenly(s), *weight = s->weight;
    for (int64_t r = begin; r < end; r++) {
        float *dx = j->dx + r * s->classes;
        const int64_t label = label_at(s, r);
        if (is_ignored(s, label)) {
            memset(dx, 0, (size_t)s->classes * sizeof(float));
            continue;
        }
        const float dy = j->dy[r * j->dy_stride] / j->divisor, w = own * (weight ? weight[label] : 1.0f);
        slope_row(s->classes, dx, j->x + r * s->classes, j->saved[r], dy * (w + even * j->total), weight ? 0 : dy * even);
        if (weight && even != 0) take_weights(s->classes, dx, dy * even, weight);
        dx[label] -= dy * w;
    }
}

void keel_cross_entropy_gradient_f32(const keel_cross_entropy *s, const float *dy, int64_t dy_stride, double divisor, float *dx, const float *x,
                                     const float *lse) {
    loss_job j = {.s = s, .total = total_weight(s), .divisor = (float)divisor, .x = x, .saved = lse, .dy = dy, .dy_stride = dy_stride, .dx = dx};
    keel_parallel(s->rows, 8192 / (s->classes + 1) + 1, slopes, &j);
}

/// a_i, for the label at hand.
#define SHARE(i) ((weight ? weight[i] : 1) * (evenly(s) + ((i) == label ? 1 - s->smoothing : 0)))

#define REFERENCE(type, suffix)                                                                                        \
    int64_t keel_reference_cross_entropy_##suffix(const keel_cross_entropy *s, type *loss, type *mass, type *lse, const type *x) { \
        const int64_t bad = first_bad_label(s), classes = s->classes;                                                  \
        const type *weight = s->weight;                                                                                \
        for (int64_t r = 0; bad < 0 && r < s->rows; r++, x += classes) {                                               \
            const int64_t label = label_at(s, r);                                                                      \
            lse[r] = mass[r] = loss[r] = 0;                                                                            \
            if (is_ignored(s, label)) continue;                                                                        \
            double top = -INFINITY, sum = 0, all = 0, expected = 0;                                                    \
            for (int64_t i = 0; i < classes; i++) if (x[i] > top) top = x[i];                                          \
            for (int64_t i = 0; i < classes; i++) sum += exp(x[i] - top);                                              \
            for (int64_t i = 0; i < classes; i++) {                                                                    \
                const double share = SHARE(i);                                                                         \
                all += share;                                                                                          \
                if (share != 0) expected += share * x[i];                                                              \
            }                                                                                                          \
            lse[r] = (type)(top + log(sum));                                                                           \
            mass[r] = weight ? weight[label] : 1;                                                                      \
            loss[r] = (type)(all * (top + log(sum)) - expected);                                                       \
        }                                                                                                              \
        return bad;                                                                                                    \
    }                                                                                                                  \
    void keel_reference_cross_entropy_gradient_##suffix(const keel_cross_entropy *s, const type *dy, int64_t dy_stride, \
                                                        double divisor, type *dx, const type *x, const type *lse) {    \
        const int64_t classes = s->classes;                                                                            \
        const type *weight = s->weight;                                                                                \
        for (int64_t r = 0; r < s->rows; r++, x += classes, dx += classes) {                                           \
            const int64_t label = label_at(s, r);                                                                      \
            double all = 0;                                                                                            \
            for (int64_t i = 0; i < classes; i++) all += SHARE(i);                                                     \
            for (int64_t i = 0; i < classes; i++)                                                                      \
                dx[i] = is_ignored(s, label) ? 0                                                                       \
                      : (type)(dy[r * dy_stride] / divisor * (all * exp((double)x[i] - lse[r]) - SHARE(i)));           \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
