#include "include/attention.h"
#include "include/packed.h"
#include "include/parallel.h"
#include "simd.h"

// A head's scores are made for some queries at a time, so that they stay in the cache; the backward pass makes them again.
#define SCORES 32768

KEEL_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t panels(int64_t n) { return (n + 63) / 64 * 64; }

static int64_t rows_at_once(const keel_attention *a) {
    const int64_t rows = SCORES / (a->keys > 0 ? a->keys : 1) / 6 * 6;
    return least(a->queries, rows < 12 ? 12 : rows);
}

int64_t keel_attention_workers(int64_t batch, int64_t heads) { return least(keel_thread_count(), batch * heads); }

int64_t keel_attention_scratch(const keel_attention *a) {
    const int64_t rows = rows_at_once(a), keys = panels(a->keys), width = panels(a->width);
    return 2 * rows * keys + (3 * keys + 2 * rows) * width + rows;
}

/// The keys that the queries before `end` may see, up to a whole panel.
static int64_t visible(const keel_attention *a, int64_t end) {
    if (!a->is_causal) return a->keys;
    const int64_t last = end + a->keys - a->queries;
    return last <= 0 ? 0 : least(a->keys, panels(last));
}

/// Scaled scores of a row, with -inf for keys that aren't seen.
KEEL_CLONES static void mask_row(int64_t n, int64_t seen, float *restrict s, const uint8_t *restrict mask, const float *restrict bias, float scale) {
    if (bias)
        for (int64_t i = 0; i < n; i++) s[i] = s[i] * scale + bias[i];
    else
        for (int64_t i = 0; i < n; i++) s[i] *= scale;
    if (mask)
        for (int64_t i = 0; i < n; i++) s[i] = mask[i] ? s[i] : -INFINITY;
    for (int64_t i = seen; i < n; i++) s[i] = -INFINITY;
}

KEEL_CLONES static float largest(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float best = -INFINITY;
    for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

KEEL_CLONES static void exp_row(int64_t n, float *restrict s, float shift) {
    for (int64_t i = 0; i < n; i++) s[i] = keel_exp_negative(s[i] - shift);
}

KEEL_CLONES static float total(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

KEEL_CLONES static float dot(int64_t n, const float *restrict a, const float *restrict b) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

KEEL_CLONES static void scale_row(int64_t n, float *restrict x, float factor) {
    for (int64_t i = 0; i < n; i++) x[i] *= factor;
}

/// The scores' gradient, from that of the probabilities.
KEEL_CLONES static void slope_row(int64_t n, float *restrict slope, const float *restrict p, float mean, float scale) {
    for (int64_t i = 0; i < n; i++) slope[i] = p[i] * (slope[i] - mean) * scale;
}

typedef struct {
    const keel_attention *a;
    float *o, *log_sums, *dq, *dk, *dv;
    const float *q, *k, *v, *d_o, *out;
    float *scratch;
} job;

/// Scores of some queries, scaled and masked.
static void scores(const job *j, int64_t batch, int64_t head, const float *q, const float *keys, float *s, int64_t begin, int64_t end, int64_t n) {
    const keel_attention *a = j->a;
    keel_packed_product_f32(end - begin, n, a->width, s, n, q + begin * a->q_row, a->q_row, 1, keys, a->width, 0);
    for (int64_t i = begin; i < end; i++) {
        const int64_t seen = a->is_causal ? least(n, i + 1 + a->keys - a->queries) : n;
        const float *bias = a->bias ? (const float *)a->bias + batch * a->bias_batch + head * a->bias_head + i * a->bias_query : 0;
        mask_row(n, seen > 0 ? seen : 0, s + (i - begin) * n, a->mask ? a->mask + batch * a->mask_batch + i * a->mask_query : 0, bias, a->scale);
    }
}

static void forward_head(const job *j, int64_t batch, int64_t head, float *scratch) {
    const keel_attention *a = j->a;
    const int64_t rows = rows_at_once(a), o_row = a->heads * a->width;
    const float *q = j->q + batch * a->q_batch + head * a->width, *k = j->k + batch * a->k_batch + head * a->width;
    const float *v = j->v + batch * a->v_batch + head * a->width;
    float *o = j->o + batch * a->queries * o_row + head * a->width, *log_sums = j->log_sums + (batch * a->heads + head) * a->queries;
    float *keys = scratch, *values = keys + panels(a->keys) * panels(a->width), *s = values + panels(a->keys) * panels(a->width);
    keel_pack_f32(a->width, a->keys, keys, k, 1, a->k_row);
    keel_pack_f32(a->keys, a->width, values, v, a->v_row, 1);
    for (int64_t begin = 0; begin < a->queries; begin += rows) {
        const int64_t end = least(begin + rows, a->queries), n = visible(a, end);
        scores(j, batch, head, q, keys, s, begin, end, n);
        for (int64_t i = begin; i < end; i++) {
            float *row = s + (i - begin) * n;
            const float top = largest(n, row);
            exp_row(n, row, top == -INFINITY ? 0 : top);
            const float sum = total(n, row);
            log_sums[i] = top == -INFINITY ? INFINITY : top + logf(sum);
            scale_row(n, row, sum > 0 ? 1.0f / sum : sum);
        }
        keel_packed_product_f32(end - begin, a->width, n, o + begin * o_row, o_row, s, n, 1, values, a->keys, 0);
    }
}

static void backward_head(const job *j, int64_t batch, int64_t head, float *scratch) {
    const keel_attention *a = j->a;
    const int64_t rows = rows_at_once(a), o_row = a->heads * a->width, panel = panels(a->width);
    const float *q = j->q + batch * a->q_batch + head * a->width, *k = j->k + batch * a->k_batch + head * a->width;
    const float *v = j->v + batch * a->v_batch + head * a->width;
    const float *d_o = j->d_o + batch * a->queries * o_row + head * a->width, *o = j->out + batch * a->queries * o_row + head * a->width;
    float *dq = j->dq + batch * a->q_batch + head * a->width, *dk = j->dk + batch * a->k_batch + head * a->width;
    float *dv = j->dv + batch * a->v_batch + head * a->width;
    const float *log_sums = j->log_sums + (batch * a->heads + head) * a->queries;
    float *keys = scratch, *values = keys + panels(a->keys) * panel, *key_rows = values + panels(a->keys) * panel;
    float *piece = key_rows + panels(a->keys) * panel, *s = piece + 2 * rows * panel, *slope = s + rows * panels(a->keys);
    keel_pack_f32(a->width, a->keys, keys, k, 1, a->k_row);
    keel_pack_f32(a->width, a->keys, values, v, 1, a->v_row);
    keel_pack_f32(a->keys, a->width, key_rows, k, a->k_row, 1);
    for (int64_t i = 0; i < a->keys; i++) {
        memset(dk + i * a->k_row, 0, (size_t)a->width * sizeof(float));
        memset(dv + i * a->v_row, 0, (size_t)a->width * sizeof(float));
    }
    for (int64_t begin = 0; begin < a->queries; begin += rows) {
        const int64_t end = least(begin + rows, a->queries), n = visible(a, end), count = end - begin;
        scores(j, batch, head, q, keys, s, begin, end, n);
        keel_packed_product_f32(count, n, a->width, slope, n, d_o + begin * o_row, o_row, 1, values, a->width, 0);
        for (int64_t i = begin; i < end; i++) exp_row(n, s + (i - begin) * n, log_sums[i]);
        keel_pack_f32(count, a->width, piece, d_o + begin * o_row, o_row, 1);
        keel_packed_product_f32(n, a->width, count, dv, a->v_row, s, 1, n, piece, count, 1);
        for (int64_t i = begin; i < end; i++)
            slope_row(n, slope + (i - begin) * n, s + (i - begin) * n, dot(a->width, d_o + i * o_row, o + i * o_row), a->scale);
        keel_packed_product_f32(count, a->width, n, dq + begin * a->q_row, a->q_row, slope, n, 1, key_rows, a->keys, 0);
        keel_pack_f32(count, a->width, piece, q + begin * a->q_row, a->q_row, 1);
        keel_packed_product_f32(n, a->width, count, dk, a->k_row, slope, 1, n, piece, count, 1);
    }
}

static void heads(const job *j, int64_t begin, int64_t end, void (*head)(const job *, int64_t, int64_t, float *)) {
    const keel_attention *a = j->a;
    const int64_t all = a->batch * a->heads, scratch = keel_attention_scratch(a);
    for (int64_t worker = begin; worker < end; worker++)
        for (int64_t i = all * worker / a->workers; i < all * (worker + 1) / a->workers; i++)
            head(j, i / a->heads, i % a->heads, j->scratch + worker * scratch);
}

static void forward_part(void *context, int64_t begin, int64_t end) { heads(context, begin, end, forward_head); }
static void backward_part(void *context, int64_t begin, int64_t end) { heads(context, begin, end, backward_head); }

void keel_attention_forward_f32(const keel_attention *a, float *o, float *log_sums, const float *q, const float *k, const float *v, float *scratch) {
    job j = {.a = a, .o = o, .log_sums = log_sums, .q = q, .k = k, .v = v, .scratch = scratch};
    keel_parallel(a->workers, 1, forward_part, &j);
}

void keel_attention_backward_f32(const keel_attention *a, float *dq, float *dk, float *dv, const float *d_o, const float *o, const float *log_sums,
                                 const float *q, const float *k, const float *v, float *scratch) {
    job j = {.a = a, .dq = dq, .dk = dk, .dv = dv, .log_sums = (float *)log_sums, .q = q, .k = k, .v = v, .d_o = d_o, .out = o, .scratch = scratch};
    keel_parallel(a->workers, 1, backward_part, &j);
}
