#ifndef KEEL_REDUCTION_H
#define KEEL_REDUCTION_H

#include "elementwise.h"

typedef enum : int32_t { KEEL_SUM, KEEL_MEAN, KEEL_MAX, KEEL_MIN } keel_reduction_op;

/// out[o, i] = reduction over the middle axis of x[o, :, i]. An empty sum is 0, an empty mean NaN; max and min need n > 0.
/// NaN wins a maximum and a minimum.
void keel_reference_reduce(keel_reduction_op op, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *x);
void keel_reduce_f32(keel_reduction_op op, int64_t outer, int64_t n, int64_t inner, float *out, const float *x);

/// The first position of the largest (or smallest) number along the middle axis; a NaN counts as the largest and smallest.
void keel_arg_extreme(int32_t largest, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, int64_t *out, const void *x);

/// Σ x², in double, in an order that doesn't depend on the thread count.
double keel_sum_of_squares_f32(int64_t count, const float *x);
double keel_reference_sum_of_squares_f32(int64_t count, const float *x);
double keel_reference_sum_of_squares_f64(int64_t count, const double *x);

/// The position of the first number that is infinite or NaN, or -1.
int64_t keel_first_not_finite_f32(int64_t count, const float *x);
int64_t keel_first_not_finite_f64(int64_t count, const double *x);

#endif
