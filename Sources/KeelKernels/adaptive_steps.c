#include "include/adaptive_steps.h"
#include "include/parallel.h"
#include "simd.h"

#define GRAIN 16384

typedef struct {
    float *value, *first, *second, *third;
    const float *gradient;
    float rate, beta1, beta2, epsilon, decay, correction1, root_correction;
    int64_t count;
    double *sums;
} step_job;

KEEL_CLONES static void adagrad(void *context, int64_t begin, int64_t end) {
    const step_job *j = context;
    float *restrict value = j->value, *restrict sum = j->first;
    const float *restrict gradient = j->gradient;
    const float rate = j->rate, epsilon = j->epsilon, decay = j->decay;
    for (int64_t i = begin; i < end; i++) {
        const float g = gradient[i] + decay * value[i], s = sum[i] + g * g;
        sum[i] = s;
        value[i] -= rate * g / (__builtin_elementwise_sqrt(s) + epsilon);
    }
}

void keel_adagrad_f32(int64_t count, float *value, float *sum, const float *gradient, float rate, float epsilon, float decay) {
    step_job j = {.value = value, .first = sum, .gradient = gradient, .rate = rate, .epsilon = epsilon, .decay = decay};
    keel_parallel(count, GRAIN, adagrad, &j);
}

// The four forms are one loop whose questions don't depend on the element.
KEEL_CLONES static void rmsprop(void *context, int64_t begin, int64_t end) {
    const step_job *j = context;
    float *restrict value = j->value, *restrict square = j->first, *restrict velocity = j->second, *restrict mean = j->third;
    const float *restrict gradient = j->gradient;
    const float rate = j->rate, keep = j->beta1, momentum = j->beta2, epsilon = j->epsilon, decay = j->decay;
    for (int64_t i = begin; i < end; i++) {
        const float g = gradient[i] + decay * value[i];
        float s = keep * square[i] + (1.0f - keep) * g * g;
        square[i] = s;
        if (mean) {
            const float m = keep * mean[i] + (1.0f - keep) * g;
            mean[i] = m;
            // Rounding may leave less than nothing.
            s = __builtin_elementwise_max(s - m * m, 0.0f);
        }
        float direction = g / (__builtin_elementwise_sqrt(s) + epsilon);
        if (velocity) {
            direction += momentum * velocity[i];
            velocity[i] = direction;
        }
        value[i] -= rate * direction;
    }
}

void keel_rmsprop_f32(int64_t count, float *value, float *square, float *velocity, float *mean, const float *gradient, float rate, float smoothing, float momentum, float epsilon, float decay) {
    step_job j = {.value = value, .first = square, .second = velocity, .third = mean, .gradient = gradient, .rate = rate, .beta1 = smoothing,
                  .beta2 = momentum, .epsilon = epsilon, .decay = decay};
    keel_parallel(count, GRAIN, rmsprop, &j);
}

KEEL_INLINE float lamb_direction(const step_job *j, float value, float first, float second) {
    return first * j->correction1 / (__builtin_elementwise_sqrt(second) * j->root_correction + j->epsilon) + j->decay * value;
}

KEEL_CLONES static void lamb_moments(void *context, int64_t begin, int64_t end) {
    KEEL_REASSOCIATE
    const step_job *j = context;
    const float beta1 = j->beta1, beta2 = j->beta2;
    for (int64_t block = begin; block < end; block++) {
        const int64_t from = block * GRAIN, to = from + GRAIN < j->count ? from + GRAIN : j->count;
        double values = 0, directions = 0;
        for (int64_t i = from; i < to; i++) {
            const float g = j->gradient[i], x = j->value[i];
            const float m = beta1 * j->first[i] + (1.0f - beta1) * g, v = beta2 * j->second[i] + (1.0f - beta2) * g * g;
            j->first[i] = m;
            j->second[i] = v;
            const float direction = lamb_direction(j, x, m, v);
            values += (double)x * x;
            directions += (double)direction * direction;
        }
        j->sums[2 * block] = values;
        j->sums[2 * block + 1] = directions;
    }
}

KEEL_CLONES static void lamb_move(void *context, int64_t begin, int64_t end) {
    const step_job *j = context;
    float *restrict value = j->value;
    const float *restrict first = j->first, *restrict second = j->second;
    for (int64_t i = begin; i < end; i++) value[i] -= j->rate * lamb_direction(j, value[i], first[i], second[i]);
}

static int64_t lamb_blocks(int64_t count) { return (count + GRAIN - 1) / GRAIN; }

int64_t keel_lamb_scratch(int64_t count) { return 2 * lamb_blocks(count); }

void keel_lamb_f32(int64_t count, float *value, float *first, float *second, const float *gradient, float rate, float beta1, float beta2, float epsilon, float decay, int64_t step, double *scratch) {
    step_job j = {.value = value, .first = first, .second = second, .gradient = gradient, .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon,
                  .decay = decay, .correction1 = (float)(1.0 / (1.0 - pow(beta1, (double)step))),
                  .root_correction = (float)(1.0 / sqrt(1.0 - pow(beta2, (double)step))), .count = count, .sums = scratch};
    const int64_t blocks = lamb_blocks(count);
    keel_parallel(blocks, 1, lamb_moments, &j);
    double values = 0, directions = 0;
    for (int64_t block = 0; block < blocks; block++) {
        values += scratch[2 * block];
        directions += scratch[2 * block + 1];
    }
    j.rate = values > 0 && directions > 0 ? (float)(rate * sqrt(values / directions)) : rate;
    keel_parallel(count, GRAIN, lamb_move, &j);
}
