// What the kernels of bytes share: how a number becomes a byte, and what follows a sum.
#ifndef KEEL_QUANTISED_PARTS_H
#define KEEL_QUANTISED_PARTS_H

#include "include/quantised.h"
#include "simd.h"

/// The byte that a number becomes. Its steps are statements of their own, so that no compiler fuses two of them into one rounding.
KEEL_INLINE uint8_t keel_quantised(float x, keel_byte_scale s) {
    const float least = (float)-s.zero, most = (float)(255 - s.zero);
    float v = x / s.scale;
    v = v > least ? v : least;
    v = v < most ? v : most;
    // What is added to 1.5 * 2^23 is rounded to a whole number, which the low bits then hold.
    const float shifted = v + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return (uint8_t)(bits - 0x4b400000 + s.zero);
}

/// `sum * scale + bias + addend` within the limits. A compiler may not fuse multiplication and addition here: all processors round alike.
KEEL_INLINE float keel_dequantised(int32_t sum, float scale, float bias, float addend, float least, float most) {
#pragma clang fp contract(off)
    float y = (float)sum * scale;
    y = y + bias;
    y = y + addend;
    y = y < least ? least : y;
    return y > most ? most : y;
}

#endif
