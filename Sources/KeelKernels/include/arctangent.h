#ifndef KEEL_ARCTANGENT_H
#define KEEL_ARCTANGENT_H

#include <stdint.h>

/// The angle whose tangent is x, in -π/2...π/2.
void keel_arctangent_f32(int64_t count, float *y, const float *x);
void keel_reference_arctangent_f32(int64_t count, float *y, const float *x);
void keel_reference_arctangent_f64(int64_t count, double *y, const double *x);

#endif
