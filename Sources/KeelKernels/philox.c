#include "include/philox.h"
#include "include/dropout.h"
#include "include/parallel.h"
#include "simd.h"

KEEL_INLINE void rounds(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1, uint32_t *w0, uint32_t *w1, uint32_t *w2, uint32_t *w3) {
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    *w0 = c0;
    *w1 = c1;
    *w2 = c2;
    *w3 = c3;
}

void keel_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    rounds(counter[0], counter[1], counter[2], counter[3], key[0], key[1], &out[0], &out[1], &out[2], &out[3]);
}

// 64 blocks at a time, word by word, so that the rounds run in vectors.
#define BATCH 64

KEEL_CLONES static void batch(uint64_t key, uint64_t stream, uint64_t first, uint32_t *restrict words) {
    for (int64_t b = 0; b < BATCH; b++) {
        const uint64_t block = first + (uint64_t)b;
        rounds((uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream, (uint32_t)(stream >> 32), (uint32_t)key,
               (uint32_t)(key >> 32), &words[b * 4], &words[b * 4 + 1], &words[b * 4 + 2], &words[b * 4 + 3]);
    }
}

KEEL_INLINE float unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

typedef struct {
    uint64_t key, stream, first;
    int64_t count;
    float a, b;
    void *out;
    const float *x;
} philox_job;

// `begin` and `end` count batches of 256 numbers.
#define FOR_EACH_BATCH(body)                                                                                           \
    const philox_job *j = context;                                                                                     \
    uint32_t words[BATCH * 4];                                                                                         \
    for (int64_t at = begin; at < end; at++) {                                                                         \
        batch(j->key, j->stream, j->first + (uint64_t)(at * BATCH), words);                                            \
        const int64_t start = at * BATCH * 4, n = j->count - start < BATCH * 4 ? j->count - start : BATCH * 4;         \
        body                                                                                                           \
    }

static void bits(void *context, int64_t begin, int64_t end) {
    FOR_EACH_BATCH(memcpy((uint32_t *)j->out + start, words, (size_t)n * sizeof(uint32_t));)
}

KEEL_CLONES static void uniform(void *context, int64_t begin, int64_t end) {
    FOR_EACH_BATCH(
        float *restrict out = (float *)j->out + start;
        for (int64_t i = 0; i < n; i++) out[i] = j->a + (j->b - j->a) * unit(words[i]);)
}

// Plain cosf and sinf, so that every processor draws the same normal numbers.
static void normal(void *context, int64_t begin, int64_t end) {
    FOR_EACH_BATCH(
        float *out = (float *)j->out + start;
        for (int64_t i = 0; i < n; i += 2) {
            const float radius = j->b * sqrtf(-2.0f * logf(unit(words[i]) + 0x1p-25f));
            const float angle = 6.28318530717958648f * unit(words[i + 1]);
            out[i] = j->a + radius * cosf(angle);
            if (i + 1 < n) out[i + 1] = j->a + radius * sinf(angle);
        })
}

KEEL_CLONES static void dropout(void *context, int64_t begin, int64_t end) {
    FOR_EACH_BATCH(
        float *restrict out = (float *)j->out + start;
        const float *restrict x = j->x + start;
        const float factor = 1.0f / (1.0f - j->a);
        for (int64_t i = 0; i < n; i++) out[i] = unit(words[i]) >= j->a ? x[i] * factor : 0.0f;)
}

static void in_batches(keel_body body, philox_job *j) { keel_parallel((j->count + BATCH * 4 - 1) / (BATCH * 4), 32, body, j); }

void keel_philox_bits(uint64_t key, uint64_t stream, uint64_t first, int64_t count, uint32_t *out) {
    philox_job j = {key, stream, first, count, 0, 0, out, 0};
    in_batches(bits, &j);
}

void keel_philox_uniform_f32(uint64_t key, uint64_t stream, uint64_t first, int64_t count, float low, float high, float *out) {
    philox_job j = {key, stream, first, count, low, high, out, 0};
    in_batches(uniform, &j);
}

void keel_philox_normal_f32(uint64_t key, uint64_t stream, uint64_t first, int64_t count, float mean, float deviation, float *out) {
    philox_job j = {key, stream, first, count, mean, deviation, out, 0};
    in_batches(normal, &j);
}

void keel_dropout_f32(uint64_t key, uint64_t stream, int64_t count, float rate, float *y, const float *x) {
    philox_job j = {key, stream, 0, count, rate, 0, y, x};
    in_batches(dropout, &j);
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_dropout_##suffix(uint64_t key, uint64_t stream, int64_t count, double rate, type *y,           \
                                         const type *x) {                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            uint32_t w[4];                                                                                             \
            rounds((uint32_t)(i / 4), (uint32_t)((uint64_t)i >> 34), (uint32_t)stream, (uint32_t)(stream >> 32),       \
                   (uint32_t)key, (uint32_t)(key >> 32), &w[0], &w[1], &w[2], &w[3]);                                  \
            y[i] = unit(w[i % 4]) >= (float)rate ? (type)(x[i] / (1 - rate)) : 0;                                      \
        }                                                                                                              \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
