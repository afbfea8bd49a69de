#ifndef KEEL_RMS_NORM_H
#define KEEL_RMS_NORM_H

#include <stdint.h>

/// Rows of n numbers over their root mean square: y = x * inverse * scale, inverse = 1 / sqrt(mean(x²) + epsilon).
void keel_rms_norm_f32(int64_t rows, int64_t n, float epsilon, float *y, float *inverse, const float *x, const float *scale);
void keel_rms_norm_gradient_f32(int64_t rows, int64_t n, float *dx, float *dscale, const float *dy, const float *x, const float *scale, const float *inverse);
void keel_reference_rms_norm_f32(int64_t rows, int64_t n, double epsilon, float *y, float *inverse, const float *x, const float *scale);
void keel_reference_rms_norm_f64(int64_t rows, int64_t n, double epsilon, double *y, double *inverse, const double *x, const double *scale);
void keel_reference_rms_norm_gradient_f32(int64_t rows, int64_t n, float *dx, float *dscale, const float *dy, const float *x, const float *scale, const float *inverse);
void keel_reference_rms_norm_gradient_f64(int64_t rows, int64_t n, double *dx, double *dscale, const double *dy, const double *x, const double *scale, const double *inverse);

#endif
