#include "include/fake_quantised.h"
#include "simd.h"

KEEL_CLONES void keel_fake_quantised_f32(int64_t n, float *restrict y, const float *restrict x, float scale, int32_t zero) {
    const float least = (float)-zero, most = (float)(255 - zero);
    for (int64_t i = 0; i < n; i++) {
        const float whole = rintf(x[i] / scale), above = whole > least ? whole : least;
        y[i] = (above < most ? above : most) * scale;
    }
}
