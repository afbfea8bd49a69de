#ifndef KEEL_NORMALISATION_H
#define KEEL_NORMALISATION_H

#include <stdint.h>

/// How channels lie in memory: x[image][group][position][lane], channel = group * lanes + lane. Plain [n, c, h, w] has one lane
/// a group, [n, c] has one group, and a channel-blocked activation has 8 or 16 lanes, the last group's excess being padding.
typedef struct {
    int64_t images, groups, positions, lanes;
} keel_channels;

// Per-channel vectors have groups * lanes elements.
void keel_channel_statistics_f32(keel_channels at, float *mean, float *variance, const float *x);
/// y = x * factor + shift, per channel.
void keel_channel_affine_f32(keel_channels at, float *y, const float *x, const float *factor, const float *shift);
/// sums of dy and of dy * (x - mean), per channel.
void keel_channel_gradient_sums_f32(keel_channels at, float *sum_dy, float *sum_dy_x, const float *dy, const float *x, const float *mean);
/// dx = dy * a + x * b + c, per channel.
void keel_channel_gradient_f32(keel_channels at, float *dx, const float *dy, const float *x, const float *a, const float *b, const float *c);

/// Batch normalisation and what may follow it: y = (x - mean) / sqrt(variance + epsilon) * scale + bias + addend, kept between least and
/// most. The vectors have `channels` numbers, which the last group's padding is not among. The addend lies as x and may be null.
typedef struct {
    int64_t channels;
    float epsilon, least, most;
    const float *scale, *bias, *addend;
    float *mean, *variance;
} keel_batch_norm;

/// By the batch's statistics, which it writes.
void keel_batch_norm_f32(keel_channels at, keel_batch_norm norm, float *y, const float *x);
/// dy counts where y lies strictly between the limits. With an addend that is written to da, which is its gradient; else da isn't used.
void keel_batch_norm_gradient_f32(keel_channels at, keel_batch_norm norm, float *dx, float *dscale, float *dbias, float *da, const float *dy, const float *x);

/// Batch normalisation of plain [n, c, s] by the batch's own statistics, plus the addend (which may be null), kept between the limits,
/// in plain loops.
void keel_reference_batch_norm_f32(int64_t n, int64_t c, int64_t s, double epsilon, double least, double most, float *y, float *mean, float *variance, const float *x, const float *scale, const float *bias, const float *addend);
void keel_reference_batch_norm_f64(int64_t n, int64_t c, int64_t s, double epsilon, double least, double most, double *y, double *mean, double *variance, const double *x, const double *scale, const double *bias, const double *addend);
/// dy where y = clip(batch norm + addend) lies strictly between the limits, else 0; the addend may be null.
void keel_reference_rectified_slope_f32(int64_t n, int64_t c, int64_t s, double epsilon, double least, double most, float *da, const float *dy, const float *x, const float *scale, const float *bias, const float *mean, const float *variance, const float *addend);
void keel_reference_batch_norm_gradient_f32(int64_t n, int64_t c, int64_t s, double epsilon, float *dx, float *dscale, float *dbias, const float *dy, const float *x, const float *scale, const float *mean, const float *variance);
/// dy where y = clip(batch norm + addend) lies strictly between the limits, else 0; the addend may be null.
void keel_reference_rectified_slope_f64(int64_t n, int64_t c, int64_t s, double epsilon, double least, double most, double *da, const double *dy, const double *x, const double *scale, const double *bias, const double *mean, const double *variance, const double *addend);
void keel_reference_batch_norm_gradient_f64(int64_t n, int64_t c, int64_t s, double epsilon, double *dx, double *dscale, double *dbias, const double *dy, const double *x, const double *scale, const double *mean, const double *variance);

/// Layer normalisation of rows; `inverse` is 1 / sqrt(variance + epsilon).
void keel_layer_norm_f32(int64_t rows, int64_t n, float epsilon, float *y, float *mean, float *inverse, const float *x, const float *scale, const float *bias);
void keel_layer_norm_gradient_f32(int64_t rows, int64_t n, float *dx, float *dscale, float *dbias, const float *dy, const float *x, const float *scale, const float *mean, const float *inverse);
void keel_reference_layer_norm_f32(int64_t rows, int64_t n, double epsilon, float *y, float *mean, float *inverse, const float *x, const float *scale, const float *bias);
void keel_reference_layer_norm_f64(int64_t rows, int64_t n, double epsilon, double *y, double *mean, double *inverse, const double *x, const double *scale, const double *bias);
void keel_reference_layer_norm_gradient_f32(int64_t rows, int64_t n, float *dx, float *dscale, float *dbias, const float *dy, const float *x, const float *scale, const float *mean, const float *inverse);
void keel_reference_layer_norm_gradient_f64(int64_t rows, int64_t n, double *dx, double *dscale, double *dbias, const double *dy, const double *x, const double *scale, const double *mean, const double *inverse);

/// running += momentum * (batch * correction - running)
void keel_running_statistic_f32(int64_t count, float *running, const float *batch, float momentum, float correction);
void keel_running_statistic_f64(int64_t count, double *running, const double *batch, double momentum, double correction);

#endif
