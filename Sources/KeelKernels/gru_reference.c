#include "include/gru.h"
#include <math.h>

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_gru_forward_##suffix(const keel_gru *s, const type *x, const type *const *weights, const type *first_h, \
                                             type *y, type *last_h, type *gates, type *before) {                       \
        const int64_t hidden = s->hidden, padded = s->padded, features = s->features;                                  \
        for (int64_t d = 0; d < s->directions; d++)                                                                    \
            for (int64_t b = 0; b < s->batch; b++) {                                                                   \
                const type *input = weights[4 * d], *recurrent = weights[4 * d + 1];                                   \
                const type *input_bias = weights[4 * d + 2], *recurrent_bias = weights[4 * d + 3];                     \
                type *h = last_h + (d * s->batch + b) * hidden;                                                        \
                for (int64_t u = 0; u < hidden; u++) h[u] = first_h ? first_h[(d * s->batch + b) * hidden + u] : 0;    \
                for (int64_t i = 0; i < s->time; i++) {                                                                \
                    const int64_t t = d == 1 ? s->time - 1 - i : i, at = (d * s->time + t) * s->batch + b;             \
                    const type *xt = x + (t * s->batch + b) * features;                                                \
                    type *old = before + at * padded, *gate = gates + at * 4 * padded;                                 \
                    type *yt = y + ((b * s->time + t) * s->directions + d) * hidden;                                   \
                    const int past = s->lengths && t >= s->lengths[b];                                                 \
                    for (int64_t u = 0; u < padded; u++) old[u] = u < hidden ? h[u] : 0;                               \
                    for (int64_t u = 0; u < padded; u++) {                                                             \
                        double of_x[3] = {0, 0, 0}, of_h[3] = {0, 0, 0};                                               \
                        for (int g = 0; g < 3 && u < hidden; g++) {                                                    \
                            const int64_t row = g * hidden + u;                                                        \
                            of_x[g] = input_bias[row];                                                                 \
                            of_h[g] = recurrent_bias[row];                                                             \
                            for (int64_t k = 0; k < features; k++) of_x[g] += (double)input[row * features + k] * xt[k]; \
                            for (int64_t k = 0; k < hidden; k++) of_h[g] += (double)recurrent[row * hidden + k] * old[k]; \
                        }                                                                                              \
                        const double reset = 1 / (1 + exp(-of_x[0] - of_h[0])), update = 1 / (1 + exp(-of_x[1] - of_h[1])); \
                        const double candidate = tanh(of_x[2] + reset * of_h[2]);                                      \
                        gate[u] = (type)candidate;                                                                     \
                        gate[padded + u] = (type)reset;                                                                \
                        gate[2 * padded + u] = (type)update;                                                           \
                        gate[3 * padded + u] = (type)of_h[2];                                                          \
                        if (u >= hidden) continue;                                                                     \
                        if (!past) h[u] = (type)((1 - update) * candidate + update * old[u]);                          \
                        yt[u] = past ? 0 : h[u];                                                                       \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
    }                                                                                                                  \
    void keel_reference_gru_backward_##suffix(const keel_gru *s, const type *const *recurrent, const type *dy, const type *last_dh, \
                                              const type *gates, const type *before, type *dgates, type *dh, type *dbias) { \
        const int64_t hidden = s->hidden, padded = s->padded, width = 4 * padded;                                      \
        for (int64_t i = 0; i < s->directions * width; i++) dbias[i] = 0;                                              \
        for (int64_t d = 0; d < s->directions; d++)                                                                    \
            for (int64_t b = 0; b < s->batch; b++) {                                                                   \
                type *slope = dh + (d * s->batch + b) * padded;                                                        \
                for (int64_t u = 0; u < padded; u++) slope[u] = u < hidden ? last_dh[(d * s->batch + b) * hidden + u] : 0; \
                for (int64_t i = s->time - 1; i >= 0; i--) {                                                           \
                    const int64_t t = d == 1 ? s->time - 1 - i : i, at = (d * s->time + t) * s->batch + b;             \
                    const type *gate = gates + at * width, *old = before + at * padded;                                \
                    const type *dyt = dy + ((b * s->time + t) * s->directions + d) * hidden;                           \
                    type *dgate = dgates + at * width;                                                                 \
                    for (int64_t k = 0; k < width; k++) dgate[k] = 0;                                                  \
                    if (s->lengths && t >= s->lengths[b]) continue;                                                    \
                    for (int64_t u = 0; u < hidden; u++) {                                                             \
                        const double n = gate[u], r = gate[padded + u], z = gate[2 * padded + u];                      \
                        const double down = (double)slope[u] + dyt[u], dn = down * (1 - z) * (1 - n * n);              \
                        dgate[u] = (type)dn;                                                                           \
                        dgate[padded + u] = (type)(dn * gate[3 * padded + u] * r * (1 - r));                           \
                        dgate[2 * padded + u] = (type)(down * (old[u] - n) * z * (1 - z));                             \
                        dgate[3 * padded + u] = (type)(dn * r);                                                        \
                        slope[u] = (type)(down * z);                                                                   \
                    }                                                                                                  \
                    for (int64_t k = 0; k < width; k++) dbias[d * width + k] += dgate[k];                              \
                    for (int64_t k = 0; k < hidden; k++) {                                                             \
                        double sum = slope[k];                                                                         \
                        for (int g = 0; g < 3; g++)                                                                    \
                            for (int64_t u = 0; u < hidden; u++)                                                       \
                                sum += (double)dgate[(g + 1) * padded + u] * recurrent[d][(g * hidden + u) * hidden + k]; \
                        slope[k] = (type)sum;                                                                          \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
