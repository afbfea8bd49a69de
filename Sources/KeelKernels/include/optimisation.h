#ifndef KEEL_OPTIMISATION_H
#define KEEL_OPTIMISATION_H

#include <stdint.h>

/// Stochastic gradient descent with momentum and coupled weight decay, in place:
/// g = gradient + decay * value; velocity = momentum * velocity + g; value -= rate * (nesterov ? g + momentum * velocity : velocity).
void keel_sgd_f32(int64_t count, float *value, float *velocity, const float *gradient, float rate, float momentum, float decay, int32_t nesterov);

/// Adam (Kingma and Ba, 2015), in place; `step` counts from 1. Decay is added to the gradient, or decoupled from it (Loshchilov and Hutter, 2019).
void keel_adam_f32(int64_t count, float *value, float *first, float *second, const float *gradient, float rate, float beta1, float beta2, float epsilon, float decay, int32_t is_decoupled, int64_t step);

/// Adam for rows of a table, in place: each row at `indices` moves against the sum of the rows [features] of `gradient` that are for it, and
/// other rows stay as they are, with their moments. `marks` [n] is scratch: -1 before and after; so is `previous` [count].
typedef struct {
    int64_t n, features, count;
    float *value, *first, *second;
    int32_t is_64_bit;
    const void *indices;
    const float *gradient;
    int32_t *marks, *previous;
    float rate, beta1, beta2, epsilon;
    int64_t step;
} keel_lazy_adam;
void keel_lazy_adam_f32(const keel_lazy_adam *job);

/// x *= factor
void keel_scale_f32(int64_t count, float *x, float factor);

#endif
