#ifndef KEEL_ATTENTION_H
#define KEEL_ATTENTION_H

#include <stdint.h>

/// Where the rows of queries, keys and values lie: element (batch, position, head, i) of each is at
/// `batch * x_batch + position * x_row + head * width + i`.
typedef struct {
    int64_t batch, heads, queries, keys, width;
    int64_t q_batch, q_row, k_batch, k_row, v_batch, v_row;
    float scale;
    /// Query i sees no key after i + keys - queries.
    int32_t is_causal;
    /// Not zero where a key is seen: (batch, query, key) at `batch * mask_batch + query * mask_query + key`; null where all are.
    const uint8_t *mask;
    int64_t mask_batch, mask_query;
    /// What is added to a scaled score: (batch, head, query, key) at `batch * bias_batch + head * bias_head + query * bias_query + key`, of the
    /// kernel's type; null for nothing.
    const void *bias;
    int64_t bias_batch, bias_head, bias_query;
    /// How many threads work, each with its own scratch of `keel_attention_scratch` floats.
    int64_t workers;
} keel_attention;

int64_t keel_attention_workers(int64_t batch, int64_t heads);
int64_t keel_attention_scratch(const keel_attention *a);

/// o [batch, queries, heads * width] = softmax(scale * q · kᵀ) · v for each head, and the logarithm of each row's sum of exponentials,
/// [batch, heads, queries]. A query that sees no key gets zeros, and infinity.
void keel_attention_forward_f32(const keel_attention *a, float *o, float *log_sums, const float *q, const float *k, const float *v, float *scratch);

/// The gradients, which lie as q, k and v do.
void keel_attention_backward_f32(const keel_attention *a, float *dq, float *dk, float *dv, const float *d_o, const float *o, const float *log_sums,
                                 const float *q, const float *k, const float *v, float *scratch);

#define KEEL_ATTENTION_REFERENCE(type, suffix)                                                                         \
    void keel_reference_attention_forward_##suffix(const keel_attention *a, double scale, type *o, type *log_sums, const type *q, const type *k, const type *v); \
    void keel_reference_attention_backward_##suffix(const keel_attention *a, double scale, type *dq, type *dk, type *dv, const type *d_o, const type *o, \
        const type *log_sums, const type *q, const type *k, const type *v);
KEEL_ATTENTION_REFERENCE(float, f32)
KEEL_ATTENTION_REFERENCE(double, f64)
#undef KEEL_ATTENTION_REFERENCE

#endif
