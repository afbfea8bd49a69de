#include "KeelDataKernels.h"
#include "dispatched.h"

#include <math.h>
#include <string.h>

/// The nearest byte.
static inline uint8_t to_byte(double v) { return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5); }

/// Weights of ITU-R BT.601 in 65536ths.
static inline unsigned grey(const uint8_t *p) { return (19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768) >> 16; }

void keel_map_channels(uint8_t *rgb, size_t pixels, const uint8_t tables[768]) {
    for (size_t i = 0; i < pixels; i++, rgb += 3)
        for (int c = 0; c < 3; c++) rgb[c] = tables[256 * c + rgb[c]];
}

void keel_histograms(const uint8_t *rgb, size_t pixels, uint32_t counts[768]) {
    for (size_t i = 0; i < pixels; i++, rgb += 3)
        for (int c = 0; c < 3; c++) counts[256 * c + rgb[c]]++;
}

double keel_mean_grey(const uint8_t *rgb, size_t pixels) {
    uint64_t sum = 0;
    for (size_t i = 0; i < pixels; i++) sum += grey(rgb + 3 * i);
    return (double)sum / (double)pixels;
}

void keel_saturate(uint8_t *rgb, size_t pixels, double factor) {
    for (size_t i = 0; i < pixels; i++, rgb += 3) {
        double g = grey(rgb);
        for (int c = 0; c < 3; c++) rgb[c] = to_byte(g + factor * (rgb[c] - g));
    }
}

void keel_turn_hue(uint8_t *rgb, size_t pixels, double turn) {
    for (size_t i = 0; i < pixels; i++, rgb += 3) {
        double r = rgb[0], g = rgb[1], b = rgb[2], high = fmax(r, fmax(g, b)), range = high - fmin(r, fmin(g, b));
        if (range == 0) continue;
        double sixth = high == r ? (g - b) / range : high == g ? 2 + (b - r) / range : 4 + (r - g) / range;
        sixth += 6 * turn;
        sixth -= 6 * floor(sixth / 6);
        // Red, green and blue are two sixths of a turn apart: full for two, nothing for two, and between for one each.
        for (int c = 0; c < 3; c++) {
            double from = fmod(sixth + (c == 0 ? 5 : c == 1 ? 3 : 1), 6), less = fmin(from, 4 - from);
            rgb[c] = to_byte(high - range * fmax(0, fmin(less, 1)));
        }
    }
}

void keel_sharpen(const uint8_t *rgb, size_t width, size_t height, double factor, uint8_t *out) {
    size_t line = 3 * width;
    memcpy(out, rgb, line * height);
    if (width < 3 || height < 3) return;
    for (size_t y = 1; y + 1 < height; y++)
        for (size_t at = y * line + 3; at + 3 < (y + 1) * line; at++) {
            const uint8_t *p = rgb + at;
            unsigned sum = 5u * p[0] + *(p - 3) + p[3];
            for (int x = -3; x <= 3; x += 3) sum += *(p + x - line) + *(p + x + line);
            double smooth = floor(sum / 13.0 + 0.5);
            out[at] = to_byte(smooth + factor * (p[0] - smooth));
        }
}
