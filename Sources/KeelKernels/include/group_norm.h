#ifndef KEEL_GROUP_NORM_H
#define KEEL_GROUP_NORM_H

#include <stdint.h>

// Group normalisation of n images of `channels` channels, in `groups` equal groups of neighbours. The fast way goes through the
// per-channel kernels of normalisation.h, for which each image's channels are channels of their own: vectors of n * width numbers,
// width being the channels with the lanes of padding.

/// From each channel's mean and variance to each group's `mean` and `inverse` = 1 / sqrt(variance + epsilon), [n, groups], and to the
/// `factor` and `shift` of each channel, with zeros in the lanes of padding.
void keel_group_factors_f32(int64_t n, int64_t channels, int64_t width, int64_t groups, float epsilon, float *mean, float *inverse,
                            float *factor, float *shift, const float *channel_mean, const float *channel_variance,
                            const float *scale, const float *bias);
/// out[i, c] = the mean of c's group, zero in the lanes of padding.
void keel_group_spread_f32(int64_t n, int64_t channels, int64_t width, int64_t groups, float *out, const float *mean);
/// From each channel's Σ dy and Σ dy * (x - mean) to dx = dy * a + x * b + c, and to what arrives at scale and bias. `positions`
/// is the count of numbers in a channel.
void keel_group_slopes_f32(int64_t n, int64_t channels, int64_t width, int64_t groups, int64_t positions, float *a, float *b, float *c,
                           float *dscale, float *dbias, const float *sum, const float *product, const float *scale, const float *mean,
                           const float *inverse);

// The same in plain loops, of [n, channels, s].
void keel_reference_group_norm_f32(int64_t n, int64_t channels, int64_t s, int64_t groups, double epsilon, float *y, float *mean, float *inverse, const float *x, const float *scale, const float *bias);
void keel_reference_group_norm_f64(int64_t n, int64_t channels, int64_t s, int64_t groups, double epsilon, double *y, double *mean, double *inverse, const double *x, const double *scale, const double *bias);
void keel_reference_group_norm_gradient_f32(int64_t n, int64_t channels, int64_t s, int64_t groups, float *dx, float *dscale, float *dbias, const float *dy, const float *x, const float *scale, const float *mean, const float *inverse);
void keel_reference_group_norm_gradient_f64(int64_t n, int64_t channels, int64_t s, int64_t groups, double *dx, double *dscale, double *dbias, const double *dy, const double *x, const double *scale, const double *mean, const double *inverse);

#endif
