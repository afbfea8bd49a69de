#ifndef KEEL_CONV1D_H
#define KEEL_CONV1D_H

#include <stdint.h>

/// A convolution over time: x [batch, time, features] → y [batch, steps, filters]; `before` zeros are in front of each sequence, and after
/// it as many as it takes.
typedef struct {
    int64_t batch, time, features, filters, taps, dilation, stride, before, steps;
    /// How many threads work, each with `keel_conv1d_scratch` floats of its own.
    int64_t workers;
} keel_conv1d;

/// How far one sequence is read, in steps, zeros included.
int64_t keel_conv1d_reach(const keel_conv1d *s);
int64_t keel_conv1d_scratch(const keel_conv1d *s);

/// `packed` is [taps * features, filters], packed by `keel_pack_f32`; `bias` may be null, else it is padded to a multiple of 16.
void keel_conv1d_f32(const keel_conv1d *s, float *y, const float *x, const float *packed, const float *bias, float *scratch);

/// dweight [taps, filters, features]
void keel_conv1d_weight_gradient_f32(const keel_conv1d *s, float *dweight, const float *dy, const float *x, float *scratch);

#define KEEL_CONV1D_REFERENCE(type, suffix)                                                                            \
    void keel_reference_conv1d_##suffix(const keel_conv1d *s, type *y, const type *x, const type *weight, const type *bias); \
    void keel_reference_conv1d_weight_gradient_##suffix(const keel_conv1d *s, type *dweight, const type *dy, const type *x);
KEEL_CONV1D_REFERENCE(float, f32)
KEEL_CONV1D_REFERENCE(double, f64)
#undef KEEL_CONV1D_REFERENCE

#endif
