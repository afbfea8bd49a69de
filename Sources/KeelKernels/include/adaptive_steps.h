#ifndef KEEL_ADAPTIVE_STEPS_H
#define KEEL_ADAPTIVE_STEPS_H

#include <stdint.h>

/// Adagrad (Duchi et al., 2011), in place: g = gradient + decay * value; sum += g²; value -= rate * g / (√sum + epsilon).
void keel_adagrad_f32(int64_t count, float *value, float *sum, const float *gradient, float rate, float epsilon, float decay);

/// RMSprop (Hinton, 2012), in place: g = gradient + decay * value; square = smoothing * square + (1 - smoothing) * g²;
/// velocity = momentum * velocity + g / (√square + epsilon); value -= rate * velocity. With `mean` (else null) it is centred: the square of the mean
/// gradient, kept there, is taken off. Without `velocity` (null) there is no momentum.
void keel_rmsprop_f32(int64_t count, float *value, float *square, float *velocity, float *mean, const float *gradient, float rate, float smoothing, float momentum, float epsilon, float decay);

/// LAMB (You et al., 2020) for one parameter, in place; `step` counts from 1. `scratch` has room for keel_lamb_scratch(count) doubles. Norms are
/// summed in blocks of a fixed size: they don't depend on the number of threads.
int64_t keel_lamb_scratch(int64_t count);
void keel_lamb_f32(int64_t count, float *value, float *first, float *second, const float *gradient, float rate, float beta1, float beta2, float epsilon, float decay, int64_t step, double *scratch);

#endif
