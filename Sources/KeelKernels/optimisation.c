#include "include/optimisation.h"
#include "include/parallel.h"
#include "simd.h"

typedef struct {
    float *value, *first, *second;
    const float *gradient;
    float rate, beta1, beta2, epsilon, decay, root_correction;
    int32_t nesterov;
    float coupled;
} update_job;

KEEL_CLONES static void sgd(void *context, int64_t begin, int64_t end) {
    const update_job *j = context;
    float *restrict value = j->value, *restrict velocity = j->first;
    const float *restrict gradient = j->gradient;
    const float rate = j->rate, momentum = j->beta1, decay = j->decay;
    if (j->nesterov) {
        for (int64_t i = begin; i < end; i++) {
            const float g = gradient[i] + decay * value[i];
            velocity[i] = momentum * velocity[i] + g;
            value[i] -= rate * (g + momentum * velocity[i]);
        }
    } else {
        for (int64_t i = begin; i < end; i++) {
            velocity[i] = momentum * velocity[i] + (gradient[i] + decay * value[i]);
            value[i] -= rate * velocity[i];
        }
    }
}

void keel_sgd_f32(int64_t count, float *value, float *velocity, const float *gradient, float rate, float momentum, float decay, int32_t nesterov) {
    update_job j = {value, velocity, 0, gradient, rate, momentum, 0, 0, decay, 0, nesterov, 0};
    keel_parallel(count, 16384, sgd, &j);
}

KEEL_CLONES static void adam(void *context, int64_t begin, int64_t end) {
    const update_job *j = context;
    float *restrict value = j->value, *restrict first = j->first, *restrict second = j->second;
    const float *restrict gradient = j->gradient;
    const float rate = j->rate, beta1 = j->beta1, beta2 = j->beta2, epsilon = j->epsilon, keep = 1.0f - j->decay;
    const float root = j->root_correction, coupled = j->coupled;
    for (int64_t i = begin; i < end; i++) {
        const float g = gradient[i] + coupled * value[i];
        const float m = beta1 * first[i] + (1.0f - beta1) * g;
        const float v = beta2 * second[i] + (1.0f - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        value[i] = keep * value[i] - rate * m / (__builtin_elementwise_sqrt(v) * root + epsilon);
    }
}

void keel_adam_f32(int64_t count, float *value, float *first, float *second, const float *gradient, float rate, float beta1, float beta2, float epsilon, float decay, int32_t is_decoupled, int64_t step) {
    const double correction1 = 1.0 - pow(beta1, (double)step), correction2 = 1.0 - pow(beta2, (double)step);
    update_job j = {value, first, second, gradient, (float)(rate / correction1), beta1, beta2, epsilon, is_decoupled ? rate * decay : 0,
                    (float)(1.0 / sqrt(correction2)), 0, is_decoupled ? 0 : decay};
    keel_parallel(count, 16384, adam, &j);
}

// Rows that are looked up lie far apart: they are asked for this many rows ahead.
#define AHEAD 16
#define PIECE 64

typedef struct {
    const keel_lazy_adam *j;
    float rate, root_correction;
} lazy_job;

KEEL_INLINE int64_t row_at(const keel_lazy_adam *j, int64_t i) {
    const int64_t index = j->is_64_bit ? ((const int64_t *)j->indices)[i] : ((const int32_t *)j->indices)[i];
    return index < 0 ? index + j->n : index;
}

/// So many numbers of a row, from one on; the usual widths are known when this is compiled.
KEEL_INLINE void move_piece(const lazy_job *l, int width, int64_t row, int64_t last, int64_t from) {
    const keel_lazy_adam *j = l->j;
    const float beta1 = j->beta1, beta2 = j->beta2, epsilon = j->epsilon, rate = l->rate, root = l->root_correction;
    float sum[PIECE];
    const float *gradient = j->gradient + last * j->features + from;
    for (int f = 0; f < width; f++) sum[f] = gradient[f];
    for (int64_t i = j->previous[last]; i >= 0; i = j->previous[i]) {
        const float *more = j->gradient + i * j->features + from;
        for (int f = 0; f < width; f++) sum[f] += more[f];
    }
    float *restrict value = j->value + row * j->features + from, *restrict first = j->first + row * j->features + from;
    float *restrict second = j->second + row * j->features + from;
    for (int f = 0; f < width; f++) {
        const float m = beta1 * first[f] + (1.0f - beta1) * sum[f];
        const float v = beta2 * second[f] + (1.0f - beta2) * sum[f] * sum[f];
        first[f] = m;
        second[f] = v;
        value[f] -= rate * m / (__builtin_elementwise_sqrt(v) * root + epsilon);
    }
}

KEEL_INLINE void move_row(const lazy_job *l, int64_t row, int64_t last) {
    int64_t from = 0;
    for (; from + PIECE <= l->j->features; from += PIECE) move_piece(l, PIECE, row, last, from);
    for (; from + PIECE / 4 <= l->j->features; from += PIECE / 4) move_piece(l, PIECE / 4, row, last, from);
    const int rest = (int)(l->j->features - from);
    if (rest == 1) {
        move_piece(l, 1, row, last, from);
    } else if (rest > 0) {
        move_piece(l, rest, row, last, from);
    }
}

// A part owns a range of the table's rows and looks at every index. It chains the gradients of a row, last one first; the last one of
// a row moves it.
KEEL_CLONES static void lazy_adam(void *context, int64_t begin, int64_t end) {
    const lazy_job *l = context;
    const keel_lazy_adam *j = l->j;
    for (int64_t i = 0; i < j->count; i++) {
        if (i + 2 * AHEAD < j->count) __builtin_prefetch(j->marks + row_at(j, i + 2 * AHEAD), 1);
        const int64_t row = row_at(j, i);
        if (row < begin || row >= end) continue;
        j->previous[i] = j->marks[row];
        j->marks[row] = (int32_t)i;
    }
    for (int64_t i = 0; i < j->count; i++) {
        if (i + 2 * AHEAD < j->count) __builtin_prefetch(j->marks + row_at(j, i + 2 * AHEAD), 1);
        if (i + AHEAD < j->count) {
            const int64_t next = row_at(j, i + AHEAD);
            if (next >= begin && next < end) {
                __builtin_prefetch(j->value + next * j->features, 1);
                __builtin_prefetch(j->first + next * j->features, 1);
                __builtin_prefetch(j->second + next * j->features, 1);
            }
        }
        const int64_t row = row_at(j, i);
        if (row < begin || row >= end || j->marks[row] != i) continue;
        move_row(l, row, i);
        j->marks[row] = -1;
    }
}

void keel_lazy_adam_f32(const keel_lazy_adam *j) {
    const double correction1 = 1.0 - pow(j->beta1, (double)j->step), correction2 = 1.0 - pow(j->beta2, (double)j->step);
    lazy_job l = {j, (float)(j->rate / correction1), (float)(1.0 / sqrt(correction2))};
    keel_parallel(j->n, j->count < 512 ? j->n : 1, lazy_adam, &l);
}

KEEL_CLONES static void scale(void *context, int64_t begin, int64_t end) {
    const update_job *j = context;
    float *restrict x = j->value;
    const float factor = j->rate;
    for (int64_t i = begin; i < end; i++) x[i] *= factor;
}

void keel_scale_f32(int64_t count, float *x, float factor) {
    if (factor == 1.0f) return;
    update_job j = {x, 0, 0, 0, factor, 0, 0, 0, 0, 0, 0, 0};
    keel_parallel(count, 32768, scale, &j);
}
