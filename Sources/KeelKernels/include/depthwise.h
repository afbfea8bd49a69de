#ifndef KEEL_DEPTHWISE_H
#define KEEL_DEPTHWISE_H

#include "image.h"

/// The widest and the highest kernel of the function below.
#define KEEL_DEPTHWISE_WIDEST 7

/// The gradient of a depthwise convolution's weights, dweight [c, kernel_h, kernel_w], where x and dy lie as [n, c / lanes, h, w, lanes];
/// lanes are a multiple of 8, with padding past the last channel. Dilation is 1.
void keel_depthwise_weight_gradient_f32(const keel_window *at, int64_t lanes, float *dweight, const float *x, const float *dy);

#endif
