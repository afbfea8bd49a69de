#include "include/attention.h"
#include <math.h>

#define REFERENCE(type, suffix)                                                                                        \
    static double score_##suffix(const keel_attention *a, double scale, int64_t b, int64_t h, int64_t i, int64_t j, const type *q, const type *k) { \
        if (a->is_causal && j > i + a->keys - a->queries) return -INFINITY;                                            \
        if (a->mask && !a->mask[b * a->mask_batch + i * a->mask_query + j]) return -INFINITY;                          \
        double sum = 0;                                                                                                \
        for (int64_t e = 0; e < a->width; e++)                                                                         \
            sum += (double)q[b * a->q_batch + i * a->q_row + h * a->width + e] * k[b * a->k_batch + j * a->k_row + h * a->width + e]; \
        const type *bias = a->bias;                                                                                    \
        return sum * scale + (bias ? (double)bias[b * a->bias_batch + h * a->bias_head + i * a->bias_query + j] : 0);  \
    }                                                                                                                  \
    void keel_reference_attention_forward_##suffix(const keel_attention *a, double scale, type *o, type *log_sums, const type *q, const type *k, const type *v) { \
        for (int64_t b = 0; b < a->batch; b++)                                                                         \
            for (int64_t h = 0; h < a->heads; h++)                                                                     \
                for (int64_t i = 0; i < a->queries; i++) {                                                             \
                    double top = -INFINITY, sum = 0;                                                                   \
                    for (int64_t j = 0; j < a->keys; j++) {                                                            \
                        const double s = score_##suffix(a, scale, b, h, i, j, q, k);                                   \
                        if (s > top) top = s;                                                                          \
                    }                                                                                                  \
                    for (int64_t j = 0; j < a->keys && top > -INFINITY; j++) sum += exp(score_##suffix(a, scale, b, h, i, j, q, k) - top); \
                    const double whole = top > -INFINITY ? top + log(sum) : INFINITY;                                  \
                    log_sums[(b * a->heads + h) * a->queries + i] = (type)whole;                                       \
                    for (int64_t e = 0; e < a->width; e++) {                                                           \
                        double z = 0;                                                                                  \
                        for (int64_t j = 0; j < a->keys && top > -INFINITY; j++)                                       \
                            z += exp(score_##suffix(a, scale, b, h, i, j, q, k) - whole) * v[b * a->v_batch + j * a->v_row + h * a->width + e]; \
                        o[((b * a->queries + i) * a->heads + h) * a->width + e] = (type)z;                             \
                    }                                                                                                  \
                }                                                                                                      \
    }                                                                                                                  \
    void keel_reference_attention_backward_##suffix(const keel_attention *a, double scale, type *dq, type *dk, type *dv, const type *d_o, const type *o, \
        const type *log_sums, const type *q, const type *k, const type *v) {                                           \
        for (int64_t b = 0; b < a->batch; b++)                                                                         \
            for (int64_t h = 0; h < a->heads; h++) {                                                                   \
                const int64_t qh = b * a->q_batch + h * a->width, kh = b * a->k_batch + h * a->width, vh = b * a->v_batch + h * a->width; \
                for (int64_t e = 0; e < a->width; e++) {                                                               \
                    for (int64_t i = 0; i < a->queries; i++) dq[qh + i * a->q_row + e] = 0;                            \
                    for (int64_t j = 0; j < a->keys; j++) dk[kh + j * a->k_row + e] = dv[vh + j * a->v_row + e] = 0;   \
                }                                                                                                      \
                for (int64_t i = 0; i < a->queries; i++) {                                                             \
                    const int64_t at = ((b * a->queries + i) * a->heads + h) * a->width;                               \
                    const double whole = log_sums[(b * a->heads + h) * a->queries + i];                                \
                    if (whole == INFINITY) continue;                                                                   \
                    double mean = 0;                                                                                   \
                    for (int64_t e = 0; e < a->width; e++) mean += (double)d_o[at + e] * o[at + e];                    \
                    for (int64_t j = 0; j < a->keys; j++) {                                                            \
                        const double p = exp(score_##suffix(a, scale, b, h, i, j, q, k) - whole);                      \
                        double slope = 0;                                                                              \
                        for (int64_t e = 0; e < a->width; e++) slope += (double)d_o[at + e] * v[vh + j * a->v_row + e]; \
                        slope = p * (slope - mean) * scale;                                                            \
                        for (int64_t e = 0; e < a->width; e++) {                                                       \
                            dv[vh + j * a->v_row + e] += (type)(p * d_o[at + e]);                                      \
                            dq[qh + i * a->q_row + e] += (type)(slope * k[kh + j * a->k_row + e]);                     \
                            dk[kh + j * a->k_row + e] += (type)(slope * q[qh + i * a->q_row + e]);                     \
                        }                                                                                              \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
