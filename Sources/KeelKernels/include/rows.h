#ifndef KEEL_ROWS_H
#define KEEL_ROWS_H

#include <stdint.h>

// Softmax and its logarithm over rows of n numbers. A row of only -inf, or with a NaN or +inf, gives NaN, as the formula does.
void keel_softmax_f32(int64_t rows, int64_t n, float *y, const float *x);
void keel_log_softmax_f32(int64_t rows, int64_t n, float *y, const float *x);
/// dx = y * (dy - Σ dy * y)
void keel_softmax_gradient_f32(int64_t rows, int64_t n, float *dx, const float *dy, const float *y);
/// dx = dy - exp(y) * Σ dy
void keel_log_softmax_gradient_f32(int64_t rows, int64_t n, float *dx, const float *dy, const float *y);

void keel_reference_softmax_f32(int64_t rows, int64_t n, float *y, const float *x);
void keel_reference_log_softmax_f32(int64_t rows, int64_t n, float *y, const float *x);
void keel_reference_softmax_gradient_f32(int64_t rows, int64_t n, float *dx, const float *dy, const float *y);
void keel_reference_log_softmax_gradient_f32(int64_t rows, int64_t n, float *dx, const float *dy, const float *y);
void keel_reference_softmax_f64(int64_t rows, int64_t n, double *y, const double *x);
void keel_reference_log_softmax_f64(int64_t rows, int64_t n, double *y, const double *x);
void keel_reference_softmax_gradient_f64(int64_t rows, int64_t n, double *dx, const double *dy, const double *y);
void keel_reference_log_softmax_gradient_f64(int64_t rows, int64_t n, double *dx, const double *dy, const double *y);

#endif
