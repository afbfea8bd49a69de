#ifndef KEEL_IMAGE_H
#define KEEL_IMAGE_H

#include <stdint.h>

/// A window that slides over [n, c, h, w] and gives [n, k, oh, ow]; padding counts from top and left.
typedef struct {
    int64_t n, c, h, w;
    int64_t k, oh, ow;
    int64_t kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w, groups;
} keel_window;

/// What follows in the same pass: a bias for each output, and an addend that lies as y, either may be null; then the limits.
typedef struct {
    const float *bias, *addend;
    float least, most;
} keel_conv_end;

// Convolution in plain loops: weights are [k, c / groups, kernel_h, kernel_w]; bias may be null.
void keel_reference_conv_f32(const keel_window *at, float *y, const float *x, const float *weight, const float *bias);
void keel_reference_conv_f64(const keel_window *at, double *y, const double *x, const double *weight, const double *bias);
void keel_reference_conv_input_gradient_f32(const keel_window *at, float *dx, const float *dy, const float *weight);
void keel_reference_conv_input_gradient_f64(const keel_window *at, double *dx, const double *dy, const double *weight);
void keel_reference_conv_weight_gradient_f32(const keel_window *at, float *dweight, const float *x, const float *dy);
void keel_reference_conv_weight_gradient_f64(const keel_window *at, double *dweight, const double *x, const double *dy);

// Pooling over `planes` images of h * w numbers each, `lanes` of them side by side (1 in plain layout). `where` receives the
// position within the plane that won, unless it is null, which is some times faster. The first of equals wins; NaN wins over numbers.
void keel_max_pool_f32(const keel_window *at, int64_t planes, int32_t lanes, float *y, int32_t *where, const float *x);
void keel_max_pool_gradient_f32(const keel_window *at, int64_t planes, int32_t lanes, float *dx, const float *dy, const int32_t *where);
void keel_max_pool_pick_f32(const keel_window *at, int64_t planes, int32_t lanes, float *y, const float *x, const int32_t *where);
void keel_average_pool_f32(const keel_window *at, int64_t planes, int32_t lanes, int32_t counts_padding, float *y, const float *x);
void keel_average_pool_gradient_f32(const keel_window *at, int64_t planes, int32_t lanes, int32_t counts_padding, float *dx, const float *dy);
void keel_reference_max_pool_f32(const keel_window *at, int64_t planes, float *y, int32_t *where, const float *x);
void keel_reference_max_pool_f64(const keel_window *at, int64_t planes, double *y, int32_t *where, const double *x);
void keel_reference_max_pool_gradient_f32(const keel_window *at, int64_t planes, float *dx, const float *dy, const int32_t *where);
void keel_reference_max_pool_gradient_f64(const keel_window *at, int64_t planes, double *dx, const double *dy, const int32_t *where);
void keel_reference_max_pool_pick_f32(const keel_window *at, int64_t planes, float *y, const float *x, const int32_t *where);
void keel_reference_max_pool_pick_f64(const keel_window *at, int64_t planes, double *y, const double *x, const int32_t *where);
void keel_reference_average_pool_f32(const keel_window *at, int64_t planes, int32_t counts_padding, float *y, const float *x);
void keel_reference_average_pool_f64(const keel_window *at, int64_t planes, int32_t counts_padding, double *y, const double *x);
void keel_reference_average_pool_gradient_f32(const keel_window *at, int64_t planes, int32_t counts_padding, float *dx, const float *dy);
void keel_reference_average_pool_gradient_f64(const keel_window *at, int64_t planes, int32_t counts_padding, double *dx, const double *dy);

#endif
