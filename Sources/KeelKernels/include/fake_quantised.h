#ifndef KEEL_FAKE_QUANTISED_H
#define KEEL_FAKE_QUANTISED_H

#include <stdint.h>

/// y = (q - zero) * scale, where q = round(x / scale) + zero, clipped to 0...255; of two whole numbers that are as near the even one.
void keel_fake_quantised_f32(int64_t n, float *y, const float *x, float scale, int32_t zero);

#endif
