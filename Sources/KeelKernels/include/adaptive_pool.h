#ifndef KEEL_ADAPTIVE_POOL_H
#define KEEL_ADAPTIVE_POOL_H

#include <stdint.h>

// The largest of each of oh * ow windows that together cover a picture of h * w: window i of an axis is ⌊i h / oh⌋..<⌈(i + 1) h / oh⌉.
// `planes`, `lanes` and `where` are as in image.h. The first of equals wins; NaN wins over numbers.
void keel_adaptive_max_pool_f32(int64_t planes, int32_t lanes, int64_t h, int64_t w, int64_t oh, int64_t ow, float *y, int32_t *where, const float *x);
void keel_reference_adaptive_max_pool_f32(int64_t planes, int64_t h, int64_t w, int64_t oh, int64_t ow, float *y, int32_t *where, const float *x);
void keel_reference_adaptive_max_pool_f64(int64_t planes, int64_t h, int64_t w, int64_t oh, int64_t ow, double *y, int32_t *where, const double *x);

#endif
