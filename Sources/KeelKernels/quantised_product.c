#include "include/parallel.h"
#include "quantised_rows.h"

/// Bytes from row to row: whole fours, and lines of the cache such that a tile's rows lie in different sets.
static int64_t row_bytes(int64_t k) { return ((k + 63) / 64 | 1) * 64; }

int64_t keel_quantised_product_scratch(int64_t m, int64_t k) { return m * row_bytes(k); }

typedef struct {
    int64_t k;
    uint8_t *q;
    const float *x;
    keel_byte_scale scale;
} job;

static void quantise(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t row = row_bytes(j->k);
    for (int64_t r = begin; r < end; r++) {
        keel_quantise_run(j->k, j->q + r * row, j->x + r * j->k, j->scale);
        memset(j->q + r * row + j->k, 0, (size_t)(-j->k & 3));
    }
}

void keel_quantised_product(keel_quantised_path path, int64_t m, int64_t n, int64_t k, float *y, const float *x, keel_byte_scale scale, const int8_t *packed, const keel_quantised_end *end, uint8_t *scratch) {
    job j = {k, scratch, x, scale};
    keel_parallel(m, KEEL_QUANTISE_GRAIN / (k + 1) + 1, quantise, &j);
    const keel_byte_rows a = {.bytes = scratch, .across = m, .area = m, .column = row_bytes(k), .depth = (k + 3) / 4, .stretches = 1, .inner = 1};
    const keel_byte_columns b = {.panels = packed, .outputs = n, .written = n, .scale = scale, .end = *end, .y = y, .lanes = n, .area = m};
    keel_multiply_bytes(path, &a, m, &b);
}
