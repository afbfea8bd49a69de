#include "include/optimisation.h"
#include "include/parallel.h"
#include "simd.h"

typedef struct {
    float *value, *first, *second;
    const float *gradient;
    float rate, beta1, beta2, epsilon, decay, root_correction;
    int32_t nesterov;
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
    update_job j = {value, velocity, 0, gradient, rate, momentum, 0, 0, decay, 0, nesterov};
    keel_parallel(count, 16384, sgd, &j);
}

KEEL_CLONES static void adamw(void *context, int64_t begin, int64_t end) {
    const update_job *j = context;
    float *restrict value = j->value, *restrict first = j->first, *restrict second = j->second;
    const float *restrict gradient = j->gradient;
    const float rate = j->rate, beta1 = j->beta1, beta2 = j->beta2, epsilon = j->epsilon, keep = 1.0f - j->decay;
    const float root = j->root_correction;
    for (int64_t i = begin; i < end; i++) {
        const float g = gradient[i];
        const float m = beta1 * first[i] + (1.0f - beta1) * g;
        const float v = beta2 * second[i] + (1.0f - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        value[i] = keep * value[i] - rate * m / (__builtin_elementwise_sqrt(v) * root + epsilon);
    }
}

void keel_adamw_f32(int64_t count, float *value, float *first, float *second, const float *gradient, float rate, float beta1, float beta2, float epsilon, float decay, int64_t step) {
    const double correction1 = 1.0 - pow(beta1, (double)step), correction2 = 1.0 - pow(beta2, (double)step);
    update_job j = {value, first, second, gradient, (float)(rate / correction1), beta1, beta2, epsilon, rate * decay,
                    (float)(1.0 / sqrt(correction2)), 0};
    keel_parallel(count, 16384, adamw, &j);
}

KEEL_CLONES static void scale(void *context, int64_t begin, int64_t end) {
    const update_job *j = context;
    float *restrict x = j->value;
    const float factor = j->rate;
    for (int64_t i = begin; i < end; i++) x[i] *= factor;
}

void keel_scale_f32(int64_t count, float *x, float factor) {
    update_job j = {x, 0, 0, 0, factor, 0, 0, 0, 0, 0, 0};
    keel_parallel(count, 32768, scale, &j);
}
