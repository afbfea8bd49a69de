#ifndef KEEL_LOSS_H
#define KEEL_LOSS_H

#include <stdint.h>

/// Per row: loss = w[label] * (lse - Σ_c q_c x_c) with q = (1 - smoothing) * oneHot + smoothing / classes.
/// `weight` (a number a class) may be null. `lse` receives each row's log-sum-exp, `loss` its weighted loss, `mass` its weight.
/// Returns the first row whose label is out of range, or -1.
int64_t keel_cross_entropy_f32(int64_t rows, int64_t classes, float smoothing, int32_t labels_are_64_bit, const void *labels, const float *weight, float *loss, float *mass, float *lse, const float *x);
int64_t keel_reference_cross_entropy_f32(int64_t rows, int64_t classes, double smoothing, int32_t labels_are_64_bit, const void *labels, const float *weight, float *loss, float *mass, float *lse, const float *x);
int64_t keel_reference_cross_entropy_f64(int64_t rows, int64_t classes, double smoothing, int32_t labels_are_64_bit, const void *labels, const double *weight, double *loss, double *mass, double *lse, const double *x);

/// dx = factor * w[label] * (softmax(x) - q), from the saved log-sum-exps.
void keel_cross_entropy_gradient_f32(int64_t rows, int64_t classes, float smoothing, int32_t labels_are_64_bit, const void *labels, const float *weight, float factor, float *dx, const float *x, const float *lse);
void keel_reference_cross_entropy_gradient_f32(int64_t rows, int64_t classes, double smoothing, int32_t labels_are_64_bit, const void *labels, const float *weight, double factor, float *dx, const float *x, const float *lse);
void keel_reference_cross_entropy_gradient_f64(int64_t rows, int64_t classes, double smoothing, int32_t labels_are_64_bit, const void *labels, const double *weight, double factor, double *dx, const double *x, const double *lse);

#endif
