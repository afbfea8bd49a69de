#include "include/parallel.h"
#include "panels.h"
#include "quantised.h"

/// Rows of weights that are made floats at a time.
#define DEPTH 256
/// Rows of the matrix at a time when there is one row of x: as many sums as hide each other's latency.
#define ROWS 4
/// Products that are worth a thread.
#define GRAIN (1 << 19)

typedef uint8_t bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef int32_t whole __attribute__((vector_size(64), aligned(4), may_alias));

/// Sixteen bytes as floats.
#define FLOATS_OF(weight) __builtin_convertvector(__builtin_convertvector(*(const bytes *)(weight), whole), lanes)

typedef struct {
    int64_t m, n, k;
    float *y;
    const float *x;
    const uint8_t *weight;
    const keel_quantised_end *end;
} job;

static void finish(const job *j, int64_t row, int64_t column, int64_t count) {
    const keel_quantised_end *end = j->end;
    if (end->has_function) keel_unary_row_f32(end->function, count, j->y + row * j->n + column, end->constants[0], end->constants[1]);
}

/// `rows` outputs. The sums begin at -128 Σ x, so that bytes needn't be moved to their zero one by one.
KEEL_INLINE void dots(int rows, const job *j, const lanes *start, int64_t first) {
    const uint8_t *w = j->weight + first * j->k;
    lanes sum[ROWS];
    float rest[ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        sum[r] = *start;
        rest[r] = 0;
    }
    int64_t p = 0;
    for (; p + LANES <= j->k; p += LANES) {
        const lanes left = *(const lanes *)(j->x + p);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) sum[r] += left * FLOATS_OF(w + r * j->k + p);
    }
    for (; p < j->k; p++)
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) rest[r] += j->x[p] * (float)(w[r * j->k + p] - 128);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        float total = rest[r];
        for (int l = 0; l < LANES / 2; l++) total += sum[r][l] + sum[r][l + LANES / 2];
        j->y[first + r] = total * j->end->scales[first + r] + (j->end->bias ? j->end->bias[first + r] : 0);
    }
}

/// Outputs of one row of x, four at a time.
KEEL_CLONES static void row_outputs(const job *j, int64_t first, int64_t last) {
    lanes start = {0};
    for (int64_t p = 0; p + LANES <= j->k; p += LANES) start -= *(const lanes *)(j->x + p) * 128;
    int64_t i = first;
    for (; i + ROWS <= last; i += ROWS) dots(ROWS, j, &start, i);
    for (; i < last; i++) dots(1, j, &start, i);
}

static void row_product(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t first = begin * ROWS, last = least(end * ROWS, j->n);
    row_outputs(j, first, last);
    finish(j, 0, first, last - first);
}

void keel_byte_weight_row_product(int64_t n, int64_t k, float *y, const float *x, const uint8_t *weight, const keel_quantised_end *end) {
    job j = {1, n, k, y, x, weight, end};
    keel_parallel((n + ROWS - 1) / ROWS, GRAIN / (ROWS * k + 1) + 1, row_product, &j);
}

int64_t keel_byte_weight_packed_bytes(int64_t k, int64_t n) { return k * rounded(n); }

void keel_byte_weight_pack(int64_t k, int64_t n, uint8_t *packed, const uint8_t *weight) {
    const int64_t panel = keel_panel_width(keel_is_wide());
    for (int64_t begin = 0; begin < n; begin += panel) {
        const int64_t count = least(panel, n - begin), width = rounded(count);
        for (int64_t p = 0; p < k; p++, packed += width)
            for (int64_t i = 0; i < width; i++) packed[i] = i < count ? weight[(begin + i) * k + p] : 128;
    }
}

KEEL_CLONES static void expand(int64_t k, int64_t width, float *restrict floats, const uint8_t *restrict packed, const float *restrict scale) {
    for (int64_t p = 0; p < k; p++, floats += width, packed += width)
        for (int64_t i = 0; i < width; i += LANES) *(lanes *)(floats + i) = (FLOATS_OF(packed + i) - 128) * *(const lanes *)(scale + i);
}

static void panel_product(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const bool is_wide = keel_is_wide();
    const int64_t panel = keel_panel_width(is_wide), pieces = (j->k + DEPTH - 1) / DEPTH;
    float floats[DEPTH * PANEL] __attribute__((aligned(64)));
    for (int64_t item = begin; item < end; item++) {
        const int64_t column = item * panel, count = least(panel, j->n - column), width = rounded(count);
        float scale[PANEL] = {0}, bias[PANEL] = {0};
        for (int64_t i = 0; i < count; i++) {
            scale[i] = j->end->scales[column + i];
            bias[i] = j->end->bias ? j->end->bias[column + i] : 0;
        }
        for (int64_t piece = 0; piece < pieces || piece == 0; piece++) {
            const int64_t from = piece * DEPTH, depth = least(DEPTH, j->k - from);
            expand(depth, width, floats, j->weight + column * j->k + from * width, scale);
            const keel_panel_product product = {
                .k = depth, .c_row = j->n, .a_row = j->k, .a_column = 1, .b_row = width, .stretches = 1, .bias = piece == 0 ? bias : 0, .adds = piece > 0};
            keel_multiply_panel(is_wide, j->m, count, product, j->y + column, j->x + from, floats);
        }
        for (int64_t row = 0; row < j->m; row++) finish(j, row, column, count);
    }
}

void keel_byte_weight_product(int64_t m, int64_t n, int64_t k, float *y, const float *x, const uint8_t *packed, const keel_quantised_end *end) {
    job j = {m, n, k, y, x, packed, end};
    const int64_t panel = keel_panel_width(keel_is_wide());
    keel_parallel((n + panel - 1) / panel, GRAIN / (m * k * panel + 1) + 1, panel_product, &j);
}
