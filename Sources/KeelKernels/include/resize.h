#ifndef KEEL_RESIZE_H
#define KEEL_RESIZE_H

#include <stdint.h>

/// Where place i of the wanted picture lies in the given one.
typedef enum : int32_t {
    KEEL_HALF_PIXEL,     // (i + 1/2) * given / wanted - 1/2
    KEEL_ALIGN_CORNERS,  // i * (given - 1) / (wanted - 1), 0 where one is wanted
    KEEL_ASYMMETRIC,     // i * given / wanted
} keel_resize_coordinates;

/// What a place between numbers is made of. Places outside count as the edge.
typedef enum : int32_t {
    KEEL_LINEAR,
    KEEL_NEAREST_FLOOR,
    KEEL_NEAREST_CEIL,
    KEEL_NEAREST_PREFER_FLOOR,
    KEEL_NEAREST_PREFER_CEIL,
} keel_resize_mode;

/// From pictures of h * w to pictures of oh * ow; all four are 1 at least and fit 31 bits.
typedef struct {
    keel_resize_mode mode;
    keel_resize_coordinates coordinates;
    int64_t h, w, oh, ow;
} keel_resize;

// `planes` and `lanes` are as in image.h; `taps` has room for 12 bytes a row and a column of the wanted picture.
void keel_resize_f32(const keel_resize *at, int64_t planes, int32_t lanes, void *taps, float *y, const float *x);
/// dx is [planes, h, w], dy [planes, oh, ow].
void keel_resize_gradient_f32(const keel_resize *at, int64_t planes, int32_t lanes, void *taps, float *dx, const float *dy);
void keel_reference_resize_f32(const keel_resize *at, int64_t planes, float *y, const float *x);
void keel_reference_resize_f64(const keel_resize *at, int64_t planes, double *y, const double *x);
void keel_reference_resize_gradient_f32(const keel_resize *at, int64_t planes, float *dx, const float *dy);
void keel_reference_resize_gradient_f64(const keel_resize *at, int64_t planes, double *dx, const double *dy);

#endif
