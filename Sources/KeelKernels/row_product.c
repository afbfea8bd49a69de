#include "include/packed.h"
#include "panels.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/// Rows of the matrix at a time, and registers a row: as many sums as hide each other's latency.
#define ROWS 4
#define REGISTERS 2
#define STEP (8 * REGISTERS)

KEEL_INLINE void dots(int rows, int64_t k, float *y, const float *x, const float *w, int64_t w_row, const float *bias) {
    eight sum[ROWS][REGISTERS];
    float rest[ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        rest[r] = bias ? bias[r] : 0;
        for (int v = 0; v < REGISTERS; v++) sum[r][v] = (eight){0};
    }
    int64_t p = 0;
    for (; p + STEP <= k; p += STEP)
#pragma clang loop unroll(full)
        for (int v = 0; v < REGISTERS; v++) {
            const eight left = *(const eight *)(x + p + 8 * v);
            if (v == 0)
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++) __builtin_prefetch(w + (ROWS + r) * w_row + p);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) sum[r][v] += left * *(const eight *)(w + r * w_row + p + 8 * v);
        }
    for (; p < k; p++)
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) rest[r] += x[p] * w[r * w_row + p];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        const eight s = sum[r][0] + sum[r][1];
        y[r] = (((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))) + rest[r];
    }
}

KEEL_CLONES void keel_row_product_f32(int64_t n, int64_t k, float *y, const float *x, const float *w, int64_t w_row, const float *bias) {
    int64_t i = 0;
    for (; i + ROWS <= n; i += ROWS) dots(ROWS, k, y + i, x, w + i * w_row, w_row, bias ? bias + i : 0);
    for (; i < n; i++) dots(1, k, y + i, x, w + i * w_row, w_row, bias ? bias + i : 0);
}

/// Numbers of the left-hand side that are looked at together.
#define STRETCH 512

/// What isn't zero of a stretch of the left-hand side, and where it stands.
typedef struct {
    int64_t count;
    int32_t at[STRETCH + LANES];
    float value[STRETCH + LANES];
} sparse;

/// Each number is written, and counts unless it is zero: there is no branch to foretell.
KEEL_INLINE void find(int64_t count, const float *x, int64_t from, sparse *found) {
    for (int64_t p = from; p < count; p++) {
        found->at[found->count] = (int32_t)p;
        found->value[found->count] = x[p];
        found->count += x[p] != 0;
    }
}

/// Adds to `count` sums, `width` registers of them. Rows of `w` are `w_row` floats apart, the registers of a row `apart`. Few registers are summed in
/// several ways, so that no sum waits for the one before.
KEEL_INLINE void add_rows(int width, int64_t count, float *y, const sparse *x, const float *w, int64_t w_row, int64_t apart) {
    const int ways = TILE_WIDTH / width;
    lanes sum[TILE_WIDTH][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int u = 0; u < ways; u++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) sum[u][v] = (lanes){0};
    int64_t i = 0;
    for (; i + ways <= x->count; i += ways)
#pragma clang loop unroll(full)
        for (int u = 0; u < ways; u++) {
            const float *row = w + x->at[i + u] * w_row;
#pragma clang loop unroll(full)
            for (int v = 0; v < width; v++) sum[u][v] += x->value[i + u] * *(const lanes *)(row + v * apart);
        }
    for (; i < x->count; i++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) sum[0][v] += x->value[i] * *(const lanes *)(w + x->at[i] * w_row + v * apart);
#pragma clang loop unroll(full)
    for (int v = 0; v < width; v++) {
        lanes all = sum[0][v];
#pragma clang loop unroll(full)
        for (int u = 1; u < ways; u++) all += sum[u][v];
        float *to = y + v * LANES;
        if (count - v * LANES >= LANES) {
            *(lanes *)to += all;
        } else {
            for (int64_t f = 0; f < count - v * LANES; f++) to[f] += all[f];
        }
    }
}

/// y += found · w, four registers of sums at a time: of one wide panel, or of four narrow ones. `w` begins with the row that `found` counts from.
KEEL_INLINE void add_found(bool is_wide, int64_t n, int64_t k, float *y, const sparse *found, const float *packed, int64_t from) {
    for (int64_t i = 0; i < n; i += PANEL) {
        const int64_t count = least(PANEL, n - i), w_row = is_wide ? rounded(count) : LANES, apart = is_wide ? LANES : k * LANES;
        const float *w = packed + i * k + from * w_row;
        switch (rounded(count) / LANES) {
        case 1: add_rows(1, count, y + i, found, w, w_row, apart); break;
        case 2: add_rows(2, count, y + i, found, w, w_row, apart); break;
        case 3: add_rows(3, count, y + i, found, w, w_row, apart); break;
        default: add_rows(4, count, y + i, found, w, w_row, apart);
        }
    }
}

KEEL_CLONES static void narrow_sparse(int64_t n, int64_t k, float *y, const float *x, const float *packed) {
    for (int64_t from = 0; from < k; from += STRETCH) {
        sparse found;
        found.count = 0;
        find(least(STRETCH, k - from), x + from, 0, &found);
        add_found(false, n, k, y, &found, packed, from);
    }
}

#ifdef __x86_64__
/// Sixteen numbers at a time, those that aren't zero moved together. To a register: to memory Zen 4 takes a hundred cycles.
KEEL_WIDE static void wide_sparse(int64_t n, int64_t k, float *y, const float *x, const float *packed) {
    const __m512i order = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int64_t from = 0; from < k; from += STRETCH) {
        sparse found;
        found.count = 0;
        const int64_t count = least(STRETCH, k - from);
        int64_t p = 0;
        for (; p + LANES <= count; p += LANES) {
            const __m512 numbers = _mm512_loadu_ps(x + from + p);
            const __mmask16 counts = _mm512_cmp_ps_mask(numbers, _mm512_setzero_ps(), _CMP_NEQ_UQ);
            const __m512i places = _mm512_add_epi32(order, _mm512_set1_epi32((int32_t)p));
            _mm512_storeu_ps(found.value + found.count, _mm512_maskz_compress_ps(counts, numbers));
            _mm512_storeu_si512(found.at + found.count, _mm512_maskz_compress_epi32(counts, places));
            found.count += __builtin_popcount(counts);
        }
        find(count, x + from, p, &found);
        add_found(true, n, k, y, &found, packed, from);
    }
}
#else
#define wide_sparse narrow_sparse
#endif

void keel_sparse_row_product_f32(int64_t n, int64_t k, float *y, const float *x, const float *packed) {
    (keel_is_wide() ? wide_sparse : narrow_sparse)(n, k, y, x, packed);
}
