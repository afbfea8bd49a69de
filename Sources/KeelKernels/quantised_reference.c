#include "quantised.h"

int32_t keel_quantised_fits(int64_t count, const uint8_t *weight) {
    int32_t outside = 0;
    for (int64_t i = 0; i < count; i++) outside |= weight[i] < 128 - KEEL_QUANTISED_REACH || weight[i] > 128 + KEEL_QUANTISED_REACH;
    return !outside;
}

/// What follows the sum of output `n`, whose number in the result is `place`.
static float finished(int32_t sum, int64_t n, int64_t place, keel_byte_scale scale, const keel_quantised_end *end) {
    return keel_dequantised(sum, scale.scale * end->scales[n], end->bias ? end->bias[n] : 0, end->addend ? end->addend[place] : 0, end->least, end->most);
}

void keel_reference_quantised_product(int64_t m, int64_t n, int64_t k, float *y, const float *x, keel_byte_scale scale, const uint8_t *weight, const keel_quantised_end *end) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            int32_t sum = 0;
            for (int64_t p = 0; p < k; p++) sum += (keel_quantised(x[i * k + p], scale) - scale.zero) * (weight[j * k + p] - 128);
            y[i * n + j] = finished(sum, j, i * n + j, scale, end);
        }
}

void keel_reference_quantised_conv(const keel_window *at, float *y, const float *x, keel_byte_scale scale, const uint8_t *weight, const keel_quantised_end *end) {
    const int64_t inputs = at->c / at->groups, outputs = at->k / at->groups, taps = at->kernel_h * at->kernel_w;
    int64_t place = 0;
    for (int64_t n = 0; n < at->n; n++)
        for (int64_t k = 0; k < at->k; k++)
            for (int64_t oy = 0; oy < at->oh; oy++)
                for (int64_t ox = 0; ox < at->ow; ox++, place++) {
                    int32_t sum = 0;
                    for (int64_t c = 0; c < inputs; c++)
                        for (int64_t tap = 0; tap < taps; tap++) {
                            const int64_t iy = oy * at->stride_h - at->top + tap / at->kernel_w * at->dilation_h;
                            const int64_t ix = ox * at->stride_w - at->left + tap % at->kernel_w * at->dilation_w;
                            if (iy < 0 || iy >= at->h || ix < 0 || ix >= at->w) continue;
                            const float number = x[((n * at->c + k / outputs * inputs + c) * at->h + iy) * at->w + ix];
                            sum += (keel_quantised(number, scale) - scale.zero) * (weight[(k * inputs + c) * taps + tap] - 128);
                        }
                    y[place] = finished(sum, k, place, scale, end);
                }
}

void keel_reference_byte_weight_product(int64_t m, int64_t n, int64_t k, float *y, const float *x, const uint8_t *weight, const float *scales, const float *bias) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) sum += (double)x[i * k + p] * (weight[j * k + p] - 128);
            y[i * n + j] = (float)(sum * scales[j] + (bias ? bias[j] : 0));
        }
}
