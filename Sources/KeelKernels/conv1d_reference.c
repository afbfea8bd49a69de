#include "include/conv1d.h"

// Weights [filters, features, taps], their gradient [taps, filters, features].
#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_conv1d_##suffix(const keel_conv1d *s, type *y, const type *x, const type *weight, const type *bias) { \
        for (int64_t b = 0; b < s->batch; b++)                                                                         \
            for (int64_t t = 0; t < s->steps; t++)                                                                     \
                for (int64_t o = 0; o < s->filters; o++) {                                                             \
                    double sum = bias ? bias[o] : 0;                                                                   \
                    for (int64_t j = 0; j < s->taps; j++) {                                                            \
                        const int64_t from = t * s->stride + j * s->dilation - s->before;                              \
                        if (from < 0 || from >= s->time) continue;                                                     \
                        for (int64_t i = 0; i < s->features; i++)                                                      \
                            sum += (double)x[(b * s->time + from) * s->features + i] * weight[(o * s->features + i) * s->taps + j]; \
                    }                                                                                                  \
                    y[(b * s->steps + t) * s->filters + o] = (type)sum;                                                \
                }                                                                                                      \
    }                                                                                                                  \
    void keel_reference_conv1d_weight_gradient_##suffix(const keel_conv1d *s, type *dweight, const type *dy, const type *x) { \
        for (int64_t j = 0; j < s->taps; j++)                                                                          \
            for (int64_t o = 0; o < s->filters; o++)                                                                   \
                for (int64_t i = 0; i < s->features; i++) {                                                            \
                    double sum = 0;                                                                                    \
                    for (int64_t b = 0; b < s->batch; b++)                                                             \
                        for (int64_t t = 0; t < s->steps; t++) {                                                       \
                            const int64_t from = t * s->stride + j * s->dilation - s->before;                          \
                            if (from < 0 || from >= s->time) continue;                                                 \
                            sum += (double)dy[(b * s->steps + t) * s->filters + o] * x[(b * s->time + from) * s->features + i]; \
                        }                                                                                              \
                    dweight[(j * s->filters + o) * s->features + i] = (type)sum;                                       \
                }                                                                                                      \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
