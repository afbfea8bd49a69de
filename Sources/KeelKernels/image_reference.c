#include "include/image.h"
#include "simd.h"

// Visits every (output, tap) pair that lies inside the picture; `o` and `i` are positions in an output and an input plane.
#define FOR_EACH_TAP(body)                                                                                             \
    for (int64_t oy = 0; oy < at->oh; oy++)                                                                            \
        for (int64_t ox = 0; ox < at->ow; ox++)                                                                        \
            for (int64_t ky = 0; ky < at->kernel_h; ky++)                                                              \
                for (int64_t kx = 0; kx < at->kernel_w; kx++) {                                                        \
                    const int64_t iy = oy * at->stride_h - at->top + ky * at->dilation_h;                              \
                    const int64_t ix = ox * at->stride_w - at->left + kx * at->dilation_w;                             \
                    if (iy < 0 || iy >= at->h || ix < 0 || ix >= at->w) continue;                                      \
                    const int64_t o = oy * at->ow + ox, i = iy * at->w + ix;                                           \
                    body                                                                                               \
                }

#define FOR_EACH_PAIR_OF_CHANNELS(body)                                                                                \
    const int64_t inputs = at->c / at->groups, outputs = at->k / at->groups;                                           \
    const int64_t in_plane = at->h * at->w, out_plane = at->oh * at->ow, taps = at->kernel_h * at->kernel_w;           \
    for (int64_t n = 0; n < at->n; n++)                                                                                \
        for (int64_t k = 0; k < at->k; k++)                                                                            \
            for (int64_t c = 0; c < inputs; c++) {                                                                     \
                const int64_t out = (n * at->k + k) * out_plane, in = (n * at->c + k / outputs * inputs + c) * in_plane; \
                const int64_t filter = (k * inputs + c) * taps;                                                        \
                body                                                                                                   \
            }

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_conv_##suffix(const keel_window *at, type *y, const type *x, const type *weight,               \
                                      const type *bias) {                                                              \
        for (int64_t n = 0; n < at->n; n++)                                                                            \
            for (int64_t k = 0; k < at->k; k++)                                                                        \
                for (int64_t p = 0; p < at->oh * at->ow; p++)                                                          \
                    y[(n * at->k + k) * at->oh * at->ow + p] = bias ? bias[k] : 0;                                     \
        FOR_EACH_PAIR_OF_CHANNELS(                                                                                     \
            FOR_EACH_TAP(y[out + o] += x[in + i] * weight[filter + ky * at->kernel_w + kx];))                          \
    }                                                                                                                  \
    void keel_reference_conv_input_gradient_##suffix(const keel_window *at, type *dx, const type *dy,                  \
                                                     const type *weight) {                                             \
        memset(dx, 0, (size_t)(at->n * at->c * at->h * at->w) * sizeof(type));                                         \
        FOR_EACH_PAIR_OF_CHANNELS(                                                                                     \
            FOR_EACH_TAP(dx[in + i] += dy[out + o] * weight[filter + ky * at->kernel_w + kx];))                        \
    }                                                                                                                  \
    void keel_reference_conv_weight_gradient_##suffix(const keel_window *at, type *dweight, const type *x,             \
                                                      const type *dy) {                                                \
        memset(dweight, 0, (size_t)(at->k * (at->c / at->groups) * at->kernel_h * at->kernel_w) * sizeof(type));       \
        FOR_EACH_PAIR_OF_CHANNELS(                                                                                     \
            FOR_EACH_TAP(dweight[filter + ky * at->kernel_w + kx] += dy[out + o] * x[in + i];))                        \
    }                                                                                                                  \
    void keel_reference_max_pool_##suffix(const keel_window *at, int64_t planes, type *y, int32_t *where,              \
                                          const type *x) {                                                             \
        const int64_t in_plane = at->h * at->w, out_plane = at->oh * at->ow;                                           \
        for (int64_t p = 0; p < planes; p++, x += in_plane, y += out_plane, where += out_plane) {                      \
            for (int64_t o = 0; o < out_plane; o++) where[o] = -1;                                                     \
            FOR_EACH_TAP(if (where[o] < 0 || (y[o] == y[o] && (x[i] > y[o] || x[i] != x[i]))) {                        \
                y[o] = x[i];                                                                                           \
                where[o] = (int32_t)i;                                                                                 \
            })                                                                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_max_pool_gradient_##suffix(const keel_window *at, int64_t planes, type *dx, const type *dy,    \
                                                   const int32_t *where) {                                             \
        const int64_t in_plane = at->h * at->w, out_plane = at->oh * at->ow;                                           \
        memset(dx, 0, (size_t)(planes * in_plane) * sizeof(type));                                                     \
        for (int64_t p = 0; p < planes; p++)                                                                           \
            for (int64_t o = 0; o < out_plane; o++)                                                                    \
                dx[p * in_plane + where[p * out_plane + o]] += dy[p * out_plane + o];                                  \
    }                                                                                                                  \
    void keel_reference_max_pool_pick_##suffix(const keel_window *at, int64_t planes, type *y, const type *x,          \
                                               const int32_t *where) {                                                 \
        const int64_t in_plane = at->h * at->w, out_plane = at->oh * at->ow;                                           \
        for (int64_t p = 0; p < planes; p++)                                                                           \
            for (int64_t o = 0; o < out_plane; o++)                                                                    \
                y[p * out_plane + o] = x[p * in_plane + where[p * out_plane + o]];                                     \
    }                                                                                                                  \
    static double divisor_##suffix(const keel_window *at, int32_t counts_padding, int64_t o) {                         \
        if (counts_padding) return (double)(at->kernel_h * at->kernel_w);                                              \
        const int64_t y0 = o / at->ow * at->stride_h - at->top, x0 = o % at->ow * at->stride_w - at->left;             \
        double count = 0;                                                                                              \
        for (int64_t ky = 0; ky < at->kernel_h; ky++)                                                                  \
            for (int64_t kx = 0; kx < at->kernel_w; kx++) {                                                            \
                const int64_t iy = y0 + ky, ix = x0 + kx;                                                              \
                count += iy >= 0 && iy < at->h && ix >= 0 && ix < at->w;                                               \
            }                                                                                                          \
        return count;                                                                                                  \
    }                                                                                                                  \
    void keel_reference_average_pool_##suffix(const keel_window *at, int64_t planes, int32_t counts_padding, type *y,  \
                                              const type *x) {                                                         \
        const int64_t in_plane = at->h * at->w, out_plane = at->oh * at->ow;                                           \
        for (int64_t p = 0; p < planes; p++, x += in_plane, y += out_plane) {                                          \
            for (int64_t o = 0; o < out_plane; o++) y[o] = 0;                                                          \
            FOR_EACH_TAP(y[o] += x[i];)                                                                                \
            for (int64_t o = 0; o < out_plane; o++) y[o] = (type)(y[o] / divisor_##suffix(at, counts_padding, o));     \
        }                                                                                                              \
    }                                                                                                                  \
    void keel_reference_average_pool_gradient_##suffix(const keel_window *at, int64_t planes, int32_t counts_padding,  \
                                                       type *dx, const type *dy) {                                     \
        const int64_t in_plane = at->h * at->w, out_plane = at->oh * at->ow;                                           \
        memset(dx, 0, (size_t)(planes * in_plane) * sizeof(type));                                                     \
        for (int64_t p = 0; p < planes; p++, dx += in_plane, dy += out_plane) {                                        \
            FOR_EACH_TAP(dx[i] += (type)(dy[o] / divisor_##suffix(at, counts_padding, o));)                            \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
