// Products of whole matrices. Blocks of both sides are copied, so that a tile reads one line after the other and what it reads again lies in
// a cache: of the right side a panel of 16 columns in the first-level one, of the left side a block of rows in the second (Goto and van de
// Geijn, "Anatomy of high-performance matrix multiplication", 2008).
#include "include/packed.h"
#include "panels.h"
#include <pthread.h>
#include <stdlib.h>

/// The most rows and columns of a block, and the most numbers in a sum that is formed at once.
#define ROWS 96
#define COLUMNS 1024
#define DEPTH 384
/// A left side that is packed is asked for so many lines before, as it may come from memory.
#define AHEAD 16

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef float octet __attribute__((vector_size(32), aligned(4), may_alias));
typedef float pair __attribute__((vector_size(8), aligned(4), may_alias));

// The blocks of a thread, which it keeps until it ends.
static pthread_key_t blocks_key;
static pthread_once_t blocks_once = PTHREAD_ONCE_INIT;
static void make_key(void) { pthread_key_create(&blocks_key, free); }

static float *blocks(void) {
    pthread_once(&blocks_once, make_key);
    float *there = pthread_getspecific(blocks_key);
    if (there) return there;
    there = aligned_alloc(4096, (ROWS + COLUMNS) * DEPTH * sizeof(float));
    if (!there) abort();
    pthread_setspecific(blocks_key, there);
    return there;
}

/// [k, 6] of each six rows. Below the last row stays what was there.
KEEL_CLONES static void pack_rows(int64_t m, int64_t k, float *restrict packed, const float *restrict a, int64_t a_row, int64_t a_column) {
    int64_t row = 0;
    if (a_row == 1 && a_column != 1) {
        // Rows that are columns in memory: what lies side by side is read at once, before its lines leave the cache.
        row = m / TILE_ROWS * TILE_ROWS;
        for (int64_t p = 0; p < k; p++) {
            const float *from = a + p * a_column;
            float *to = packed + p * TILE_ROWS;
            for (int64_t r = 0; r < row; r += TILE_ROWS, to += TILE_ROWS * k) {
                __builtin_prefetch(from + r + AHEAD * a_column);
                *(quad *)to = *(const quad *)(from + r);
                *(pair *)(to + 4) = *(const pair *)(from + r + 4);
            }
        }
    }
    for (; row < m; row += TILE_ROWS) {
        const int64_t rows = least(TILE_ROWS, m - row);
        const float *from = a + row * a_row;
        float *to = packed + row * k;
        int64_t p = 0;
        if (rows == TILE_ROWS && a_column == 1) {
            for (; p + 4 <= k; p += 4, to += 4 * TILE_ROWS) {
                quad r[TILE_ROWS];
                for (int i = 0; i < TILE_ROWS; i++) {
                    r[i] = *(const quad *)(from + i * a_row + p);
                    __builtin_prefetch(from + (TILE_ROWS + i) * a_row + p);
                }
                for (int i = 0; i < 4; i++) {
                    *(quad *)(to + i * TILE_ROWS) = (quad){r[0][i], r[1][i], r[2][i], r[3][i]};
                    *(pair *)(to + i * TILE_ROWS + 4) = (pair){r[4][i], r[5][i]};
                }
            }
        }
        for (; p < k; p++, to += TILE_ROWS)
            for (int64_t r = 0; r < rows; r++) to[r] = from[r * a_row + p * a_column];
    }
}

/// c [rows, 16] = start + Σ a[p, r] * b[p, :] over `k`, of which `columns` are stored; `rows` is a constant where this is inlined.
KEEL_INLINE void tile(int rows, int64_t k, const float *start, const float *a, const float *b, float *c, int64_t c_row, int64_t columns, bool adds) {
    octet sum[TILE_ROWS][2];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        sum[r][0] = *(const octet *)start;
        sum[r][1] = *(const octet *)(start + 8);
        __builtin_prefetch(c + r * c_row);
        __builtin_prefetch(c + r * c_row + LANES - 1);
    }
#pragma clang loop unroll_count(2)
    for (int64_t p = 0; p < k; p++, a += TILE_ROWS, b += LANES) {
        const octet left = *(const octet *)b, right = *(const octet *)(b + 8);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            sum[r][0] += a[r] * left;
            sum[r][1] += a[r] * right;
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++, c += c_row) {
        if (columns == LANES) {
            *(octet *)c = adds ? *(const octet *)c + sum[r][0] : sum[r][0];
            *(octet *)(c + 8) = adds ? *(const octet *)(c + 8) + sum[r][1] : sum[r][1];
        } else {
            const float *from = (const float *)sum[r];
            for (int64_t i = 0; i < columns; i++) c[i] = adds ? c[i] + from[i] : from[i];
        }
    }
}

/// c [m, n] from a packed block of each side; the sums begin at `bias`, if there is one.
KEEL_CLONES static void multiply_blocks(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *left, const float *right, const float *bias, bool adds) {
    for (int64_t column = 0; column < n; column += LANES) {
        const int64_t columns = least(LANES, n - column);
        float start[LANES] = {0};
        for (int64_t i = 0; bias && i < columns; i++) start[i] = bias[column + i];
        for (int64_t row = 0; row < m; row += TILE_ROWS)
            switch (least(TILE_ROWS, m - row)) {
#define CASE(rows) case rows: tile(rows, k, start, left + row * k, right + column * k, c + row * c_row + column, c_row, columns, adds); break;
                KEEL_TILE_CASES
            }
    }
}

/// With registers of 512 bits the left side is read as it lies: a tile takes 64 columns, so it reads a line of it only a quarter as often.
static void wide_product(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, int64_t b_column, const float *bias, int32_t adds) {
    float packed[DEPTH * PANEL] __attribute__((aligned(64)));
    if (bias)
        for (int64_t row = 0; row < m; row++) memcpy(c + row * c_row, bias, (size_t)n * sizeof(float));
    const int64_t pieces = (k + DEPTH - 1) / DEPTH;
    for (int64_t piece = 0; piece < pieces; piece++) {
        const int64_t from = k * piece / pieces, depth = k * (piece + 1) / pieces - from;
        for (int64_t begin = 0; begin < n; begin += PANEL) {
            const int64_t count = least(PANEL, n - begin);
            keel_pack_f32(depth, count, packed, b + from * b_row + begin * b_column, b_row, b_column);
            keel_packed_product_f32(m, count, depth, c + begin, c_row, a + from * a_column, a_row, a_column, packed, depth, adds || bias || from > 0);
        }
    }
}

/// Into blocks of like size, none above `most`, which `step` divides.
static int64_t evenly(int64_t count, int64_t most, int64_t step) {
    const int64_t blocks = (count + most - 1) / most;
    return ((count + blocks - 1) / blocks + step - 1) / step * step;
}

static void narrow_product(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, int64_t b_column, const float *bias, int32_t adds) {
    float *const right = blocks(), *const left = right + COLUMNS * DEPTH;
    const int64_t pieces = (k + DEPTH - 1) / DEPTH, width = evenly(n, COLUMNS, LANES), height = evenly(m, ROWS, TILE_ROWS);
    for (int64_t column = 0; column < n; column += width)
        for (int64_t piece = 0; piece < pieces; piece++) {
            const int64_t columns = least(width, n - column), from = k * piece / pieces, depth = k * (piece + 1) / pieces - from;
            keel_pack_f32(depth, columns, right, b + from * b_row + column * b_column, b_row, b_column);
            for (int64_t row = 0; row < m; row += height) {
                const int64_t rows = least(height, m - row);
                pack_rows(rows, depth, left, a + row * a_row + from * a_column, a_row, a_column);
                multiply_blocks(rows, columns, depth, c + row * c_row + column, c_row, left, right, bias && from == 0 ? bias + column : 0, adds || from > 0);
            }
        }
}

void keel_product_f32(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, int64_t b_column, const float *bias, int32_t adds) {
    (keel_is_wide() ? wide_product : narrow_product)(m, n, k, c, c_row, a, a_row, a_column, b, b_row, b_column, bias, adds);
}

int32_t keel_product_is_fast(int64_t m, int64_t n) {
#ifdef __x86_64__
    if (keel_is_wide()) return m >= 24 && n >= 2 * LANES;
    return n >= LANES && __builtin_cpu_supports("x86-64-v3");
#else
    return 0;
#endif
}
