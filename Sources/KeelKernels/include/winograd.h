#ifndef KEEL_WINOGRAD_H
#define KEEL_WINOGRAD_H

#include "image.h"

/// A 3x3 convolution of stride 1 that takes x [n, in, h, w] and gives y [n, out, oh, ow], with so much padding above and to the
/// left; `in` and `out` are multiples of 16. x lies as [n, in / in_lanes, h, w, in_lanes], y accordingly; lanes are multiples of 8.
///
/// Computed by Winograd's F(4x4, 3x3): 36 multiplications for 16 results instead of 144. Results are within 2e-5 of the largest of what
/// the plain sum in float64 gives.
/// Lavin and Gray, *Fast algorithms for convolutional neural networks*, 2016, with the points 0, 1, -1, 2, -2 and infinity.
typedef struct {
    int64_t n, in, h, w, out, oh, ow, top, left;
    int64_t in_lanes, out_lanes;
} keel_winograd;

/// Which weights: [out, in, 3, 3], or for the gradient of the input [in, out, 3, 3] turned upside down.
typedef enum { KEEL_WINOGRAD_FORWARD, KEEL_WINOGRAD_INPUT_GRADIENT } keel_winograd_pass;

/// Whether the processor has the vectors (AVX2) that make it worth while.
int32_t keel_winograd_is_fast(void);
/// Floats in a vector register as wide as kernels use, 8 at least: how many channels a block has best.
int32_t keel_vector_lanes(void);

/// Floats that the transformed filters take: they depend on `in` and `out` alone; 64-byte aligned.
int64_t keel_winograd_filter_count(const keel_winograd *at);
void keel_winograd_filters_f32(const keel_winograd *at, keel_winograd_pass pass, float *filters, const float *weight);

/// Floats of scratch memory that the functions below need with the present count of threads; 64-byte aligned.
int64_t keel_winograd_scratch(const keel_winograd *at);
int64_t keel_winograd_weight_gradient_scratch(const keel_winograd *at);

/// With transformed filters. The result doesn't depend on the count of threads.
void keel_winograd_f32(const keel_winograd *at, float *y, const float *x, const float *filters, keel_conv_end end, float *scratch);
/// dweight [out, in, 3, 3]: the adjoint of the same transforms, summed over the tiles before it is transformed back.
void keel_winograd_weight_gradient_f32(const keel_winograd *at, float *dweight, const float *x, const float *dy, float *scratch);

#endif
