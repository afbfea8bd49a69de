#ifndef KEEL_OPTIMISATION_H
#define KEEL_OPTIMISATION_H

#include <stdint.h>

/// Stochastic gradient descent with momentum and coupled weight decay, in place:
/// g = gradient + decay * value; velocity = momentum * velocity + g; value -= rate * (nesterov ? g + momentum * velocity : velocity).
void keel_sgd_f32(int64_t count, float *value, float *velocity, const float *gradient, float rate, float momentum, float decay, int32_t nesterov);

/// AdamW (Loshchilov and Hutter, 2019), in place; `step` counts from 1, decay is decoupled.
void keel_adamw_f32(int64_t count, float *value, float *first, float *second, const float *gradient, float rate, float beta1, float beta2, float epsilon, float decay, int64_t step);

/// x *= factor
void keel_scale_f32(int64_t count, float *x, float factor);

#endif
