#ifndef KEEL_DETECTION_H
#define KEEL_DETECTION_H

#include <stdint.h>

/// Boxes and scores of pictures: boxes [pictures, n, 4] are left, top, right, bottom, in either order; scores [pictures, classes, n];
/// labels [pictures, n], or null where boxes of all labels compete. The class of a score is not a label.
typedef struct {
    int64_t pictures, classes, n;
    double overlap;  // boxes whose intersection over union is above it suppress each other
    double least;    // only scores above it count
    int64_t most;    // at most so many are chosen for each class of a picture
    const int64_t *labels;
} keel_suppression;

/// Bytes of memory that the functions below want.
int64_t keel_suppression_bytes(const keel_suppression *at);
/// The chosen boxes for each picture and class, best score first, the first of equals; -1 after the last of them. `counts` has how many
/// there are. A score that is NaN is never chosen.
void keel_suppress_f32(const keel_suppression *at, int64_t *chosen, int64_t *counts, const float *boxes, const float *scores, void *memory);
void keel_reference_suppress_f32(const keel_suppression *at, int64_t *chosen, int64_t *counts, const float *boxes, const float *scores, void *memory);
void keel_reference_suppress_f64(const keel_suppression *at, int64_t *chosen, int64_t *counts, const double *boxes, const double *scores, void *memory);

#define KEEL_REGION_SAMPLES 64

/// Regions of pictures [n, c, h, w], each cut into oh * ow bins. `samples` along each axis of a bin, or 0 for as many as the bin is
/// pixels long; at most KEEL_REGION_SAMPLES.
typedef struct {
    int64_t n, c, h, w, regions, oh, ow;
    double scale;  // from a box's coordinates to the picture's
    int32_t samples;
    int32_t half_pixel;
} keel_regions;

// y [regions, c, oh, ow] from x [n, c, h, w], boxes [regions, 4] and the number of each one's picture.
void keel_region_align_f32(const keel_regions *at, float *y, const float *x, const float *boxes, const int64_t *pictures);
void keel_region_align_gradient_f32(const keel_regions *at, float *dx, const float *dy, const float *boxes, const int64_t *pictures);
void keel_reference_region_align_f32(const keel_regions *at, float *y, const float *x, const float *boxes, const int64_t *pictures);
void keel_reference_region_align_f64(const keel_regions *at, double *y, const double *x, const double *boxes, const int64_t *pictures);
void keel_reference_region_align_gradient_f32(const keel_regions *at, float *dx, const float *dy, const float *boxes, const int64_t *pictures);
void keel_reference_region_align_gradient_f64(const keel_regions *at, double *dx, const double *dy, const double *boxes, const int64_t *pictures);

#endif
