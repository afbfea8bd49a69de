#ifndef KEEL_HALF_H
#define KEEL_HALF_H

#include <stdint.h>

/// The floats of 16 bits. They are stored, and nothing is calculated in them: these conversions are all that knows their bits.
typedef enum : int32_t {
    KEEL_BFLOAT16,  // sign, 8 bits of exponent, 7 of fraction: the upper half of a float32
    KEEL_FLOAT16,   // sign, 5 bits of exponent, 10 of fraction: IEEE 754's binary16
} keel_half;

/// y = x, exactly. A NaN keeps its sign and payload.
void keel_widen(keel_half kind, int64_t count, float *y, const uint16_t *x);
/// y = x, rounded to nearest, ties to even; beyond the largest number to infinity. A NaN stays one, and is quiet.
void keel_narrow(keel_half kind, int64_t count, uint16_t *y, const float *x);

// The same as plain loops.
void keel_reference_widen(keel_half kind, int64_t count, float *y, const uint16_t *x);
void keel_reference_narrow(keel_half kind, int64_t count, uint16_t *y, const float *x);

#endif
