#include "include/recurrent.h"
#include <math.h>

#define COLUMN(g, u) ((u) / 16 * 64 + (g) * 16 + (u) % 16)

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_lstm_forward_##suffix(const keel_lstm *s, const type *x, const type *const *input,             \
        const type *const *recurrent, const type *const *bias, const type *first_h, const type *first_c, type *y,      \
        type *last_h, type *last_c, type *gates, type *rows, type *before_c) {                                         \
        const int64_t hidden = s->hidden, padded = s->padded, features = s->features, width = 4 * padded;              \
        const int64_t length = keel_lstm_row(features, padded);                                                        \
        for (int64_t d = 0; d < s->directions; d++)                                                                    \
            for (int64_t b = 0; b < s->batch; b++) {                                                                   \
                type *h = last_h + (d * s->batch + b) * hidden, *c = last_c + (d * s->batch + b) * hidden;             \
                for (int64_t u = 0; u < hidden; u++) {                                                                 \
                    h[u] = first_h ? first_h[(d * s->batch + b) * hidden + u] : 0;                                     \
                    c[u] = first_c ? first_c[(d * s->batch + b) * hidden + u] : 0;                                     \
                }                                                                                                      \
                for (int64_t i = 0; i < s->time; i++) {                                                                \
                    const int64_t t = d == 1 ? s->time - 1 - i : i, at = (d * s->time + t) * s->batch + b;             \
                    const type *xt = x + (b * s->time + t) * features;                                                 \
                    type *row = rows + at * length, *state = before_c + at * padded, *gate = gates + at * width;       \
                    type *yt = y + ((b * s->time + t) * s->directions + d) * hidden;                                   \
                    const int past = s->lengths && t >= s->lengths[b];                                                 \
                    for (int64_t k = 0; k < length; k++)                                                               \
                        row[k] = k < features ? xt[k] : k < features + hidden ? h[k - features] : 0;                   \
                    for (int64_t u = 0; u < padded; u++) state[u] = u < hidden ? c[u] : 0;                             \
                    for (int64_t u = 0; u < padded; u++) {                                                             \
                        double sum[4] = {0, 0, 0, 0};                                                                  \
                        for (int g = 0; g < 4 && u < hidden; g++) {                                                    \
                            const int64_t unit = g * hidden + u;                                                       \
                            sum[g] = bias[d][unit];                                                                    \
                            for (int64_t k = 0; k < features; k++) sum[g] += (double)input[d][unit * features + k] * xt[k]; \
                            for (int64_t k = 0; k < hidden; k++) sum[g] += (double)recurrent[d][unit * hidden + k] * row[features + k]; \
                        }                                                                                              \
                        const double in = 1 / (1 + exp(-sum[0])), forget = 1 / (1 + exp(-sum[1]));                     \
                        const double value = tanh(sum[2]), out = 1 / (1 + exp(-sum[3]));                               \
                        gate[COLUMN(0, u)] = (type)in;                                                                 \
                        gate[COLUMN(1, u)] = (type)forget;                                                             \
                        gate[COLUMN(2, u)] = (type)value;                                                              \
                        gate[COLUMN(3, u)] = (type)out;                                                                \
                        if (u >= hidden) continue;                                                                     \
                        if (!past) {                                                                                   \
                            c[u] = (type)(forget * state[u] + in * value);                                             \
                            h[u] = (type)(out * tanh((double)c[u]));                                                   \
                        }                                                                                              \
                        yt[u] = past ? 0 : h[u];                                                                       \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
    }                                                                                                                  \
    void keel_reference_lstm_backward_##suffix(const keel_lstm *s, const type *const *recurrent, const type *dy,       \
        const type *last_dh, const type *last_dc, const type *gates, const type *before_c, type *dgates, type *dh, type *dc, type *dbias) { \
        const int64_t hidden = s->hidden, padded = s->padded, width = 4 * padded;                                      \
        for (int64_t i = 0; i < s->directions * width; i++) dbias[i] = 0;                                              \
        for (int64_t d = 0; d < s->directions; d++)                                                                    \
            for (int64_t b = 0; b < s->batch; b++) {                                                                   \
                type *slope = dh + (d * s->batch + b) * padded, *state = dc + (d * s->batch + b) * padded;             \
                for (int64_t u = 0; u < padded; u++) {                                                                 \
                    slope[u] = last_dh && u < hidden ? last_dh[(d * s->batch + b) * hidden + u] : 0;                   \
                    state[u] = last_dc && u < hidden ? last_dc[(d * s->batch + b) * hidden + u] : 0;                   \
                }                                                                                                      \
                for (int64_t i = s->time - 1; i >= 0; i--) {                                                           \
                    const int64_t t = d == 1 ? s->time - 1 - i : i, at = (d * s->time + t) * s->batch + b;             \
                    const type *gate = gates + at * width, *before = before_c + at * padded;                           \
                    const type *dyt = dy + ((b * s->time + t) * s->directions + d) * hidden;                           \
                    type *dgate = dgates + at * width;                                                                 \
                    for (int64_t k = 0; k < width; k++) dgate[k] = 0;                                                  \
                    if (s->lengths && t >= s->lengths[b]) continue;                                                    \
                    for (int64_t u = 0; u < hidden; u++) {                                                             \
                        const double in = gate[COLUMN(0, u)], forget = gate[COLUMN(1, u)];                             \
                        const double value = gate[COLUMN(2, u)], out = gate[COLUMN(3, u)];                             \
                        const double curve = tanh(forget * before[u] + in * value), down = (double)slope[u] + dyt[u];  \
                        const double inner = state[u] + down * out * (1 - curve * curve);                              \
                        dgate[COLUMN(0, u)] = (type)(inner * value * in * (1 - in));                                   \
                        dgate[COLUMN(1, u)] = (type)(inner * before[u] * forget * (1 - forget));                       \
                        dgate[COLUMN(2, u)] = (type)(inner * in * (1 - value * value));                                \
                        dgate[COLUMN(3, u)] = (type)(down * curve * out * (1 - out));                                  \
                        state[u] = (type)(inner * forget);                                                             \
                    }                                                                                                  \
                    for (int64_t k = 0; k < width; k++) dbias[d * width + k] += dgate[k];                              \
                    for (int64_t k = 0; k < hidden; k++) {                                                             \
                        double sum = 0;                                                                                \
                        for (int g = 0; g < 4; g++)                                                                    \
                            for (int64_t u = 0; u < hidden; u++) sum += (double)dgate[COLUMN(g, u)] * recurrent[d][(g * hidden + u) * hidden + k]; \
                        slope[k] = (type)sum;                                                                          \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
