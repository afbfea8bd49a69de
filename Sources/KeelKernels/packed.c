#include "include/packed.h"
#include "panels.h"

/// Rows of the right-hand side that are used at a time: a narrow panel of them stays in the first-level cache.
#define NARROW_DEPTH 256
/// Rows of the left-hand side that are copied at a time, if at all; as much of them stays in the second-level cache.
#define COPIED_ROWS 48

int64_t keel_packed_count(int64_t k, int64_t n) { return k * rounded(n); }

/// One panel [k, width] of `count` columns, the rest of which is zero.
KEEL_CLONES static void pack_panel(int64_t k, int64_t count, int64_t width, float *restrict packed, const float *restrict b, int64_t b_row, int64_t b_column) {
    if (b_column == 1) {
        for (int64_t p = 0; p < k; p++, packed += width, b += b_row) {
            if (count == PANEL) {
                for (int i = 0; i < PANEL; i++) packed[i] = b[i];
            } else if (count == LANES) {
                for (int i = 0; i < LANES; i++) packed[i] = b[i];
            } else {
                for (int64_t i = 0; i < count; i++) packed[i] = b[i];
                for (int64_t i = count; i < width; i++) packed[i] = 0;
            }
        }
        return;
    }
    // Columns that are dense: 16 x 16 numbers at a time, so that what is read stays in registers and what is written in a few lines.
    for (int64_t i = 0; i < width; i += LANES)
        for (int64_t p = 0; p < k; p += LANES) {
            const int64_t rows = least(LANES, k - p), columns = least(LANES, count - i);
            const float *from = b + p * b_row + i * b_column;
            float *to = packed + p * width + i;
            if (rows == LANES && columns == LANES && b_row == 1) {
                float piece[LANES][LANES];
                for (int c = 0; c < LANES; c++)
                    for (int r = 0; r < LANES; r++) piece[c][r] = from[c * b_column + r];
                for (int r = 0; r < LANES; r++)
                    for (int c = 0; c < LANES; c++) to[r * width + c] = piece[c][r];
                continue;
            }
            for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < LANES; c++) to[r * width + c] = c < columns ? from[r * b_row + c * b_column] : 0;
        }
}

void keel_pack_f32(int64_t k, int64_t n, float *packed, const float *b, int64_t b_row, int64_t b_column) {
    const int64_t panel = keel_panel_width(keel_is_wide());
    for (int64_t begin = 0; begin < n; begin += panel) {
        const int64_t count = least(panel, n - begin), width = rounded(count);
        pack_panel(k, count, width, packed, b + begin * b_column, b_row, b_column);
        packed += k * width;
    }
}

KEEL_INLINE void finished_tile(int rows, int width, bool is_transposed, const keel_panel_product *j, float *c, const float *a, const float *b, keel_ahead ahead) {
    lanes sum[TILE_ROWS][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) sum[r][v] = j->bias ? *(const lanes *)(j->bias + v * LANES) : (lanes){0};
    for (int64_t i = 0; i < j->stretches; i++)
        keel_tile(rows, width, sum, j->k, a + i * j->a_stretch, is_transposed ? 1 : j->a_row, is_transposed ? j->a_column : 1,
                  b + i * j->b_stretch, j->b_row, &ahead);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) {
            float *to = c + r * j->c_row + v * LANES;
            if (v == width - 1 && j->last < LANES) {
                for (int64_t i = 0; i < j->last; i++) to[i] = j->adds ? to[i] + sum[r][v][i] : sum[r][v][i];
            } else {
                *(lanes *)to = j->adds ? *(const lanes *)to + sum[r][v] : sum[r][v];
            }
        }
    }
}

/// Rows of the next tile: a pair of like ones at the end, since one of a row or two waits for its own sums.
KEEL_INLINE int64_t tile_rows(int64_t left) { return left > TILE_ROWS && left < 2 * TILE_ROWS ? (left + 1) / 2 : least(TILE_ROWS, left); }

#define ROWS                                                                                                           \
    const int64_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS;                                                             \
    for (int64_t left = m, i = 0, rows; left > 0; left -= rows, c += rows * j->c_row, a += rows * j->a_row, i++)       \
        switch (rows = tile_rows(left)) { KEEL_TILE_CASES }

#define CASE(n) case n: finished_tile(n, WIDE, TRANSPOSED, j, c, a, b, keel_share(j->next, b, j->k, j->b_row, i, tiles)); break;
#define PANEL_FUNCTION(name, wide, transposed)                                                                         \
    KEEL_WIDE static void name(int64_t m, const keel_panel_product *j, float *c, const float *a, const float *b) {     \
        enum { WIDE = wide, TRANSPOSED = transposed };                                                                 \
        ROWS                                                                                                           \
    }
PANEL_FUNCTION(wide_1, 1, 0)
PANEL_FUNCTION(wide_2, 2, 0)
PANEL_FUNCTION(wide_3, 3, 0)
PANEL_FUNCTION(wide_4, 4, 0)
PANEL_FUNCTION(wide_1_transposed, 1, 1)
PANEL_FUNCTION(wide_2_transposed, 2, 1)
PANEL_FUNCTION(wide_3_transposed, 3, 1)
PANEL_FUNCTION(wide_4_transposed, 4, 1)

typedef void (*panel_function)(int64_t m, const keel_panel_product *j, float *c, const float *a, const float *b);
static const panel_function wide_panels[2][TILE_WIDTH] = {
    {wide_1, wide_2, wide_3, wide_4}, {wide_1_transposed, wide_2_transposed, wide_3_transposed, wide_4_transposed}};

KEEL_CLONES static void narrow(int64_t m, const keel_panel_product *j, float *c, const float *a, const float *b) {
    enum { WIDE = 1, TRANSPOSED = 0 };
    ROWS
}
KEEL_CLONES static void narrow_transposed(int64_t m, const keel_panel_product *j, float *c, const float *a, const float *b) {
    enum { WIDE = 1, TRANSPOSED = 1 };
    ROWS
}

void keel_multiply_panel(bool is_wide, int64_t m, int64_t count, keel_panel_product j, float *c, const float *a, const float *panel) {
    const int64_t registers = rounded(count) / LANES;
    const bool is_transposed = j.a_column != 1;
    j.last = count - (registers - 1) * LANES;
    (is_wide ? wide_panels[is_transposed][registers - 1] : is_transposed ? narrow_transposed : narrow)(m, &j, c, a, panel);
}

/// c [m, n] from all panels and `j.k` rows of them.
static void multiply_panels(bool is_wide, int64_t m, int64_t n, keel_panel_product j, float *c, const float *a, const float *packed, int64_t packed_rows, int64_t from) {
    const int64_t panel = keel_panel_width(is_wide);
    for (int64_t begin = 0; begin < n; begin += panel) {
        const int64_t count = least(panel, n - begin);
        j.b_row = rounded(count);
        const float *at = packed + from * j.b_row;
        packed += packed_rows * j.b_row;
        j.next = begin + panel < n ? packed + from * rounded(least(panel, n - begin - panel)) : 0;
        keel_multiply_panel(is_wide, m, count, j, c + begin, a, at);
    }
}

void keel_packed_product_f32(int64_t m, int64_t n, int64_t k, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_column, const float *packed, int64_t packed_rows, int32_t adds) {
    keel_panel_product j = {.k = k, .c_row = c_row, .a_row = a_row, .a_column = a_column, .stretches = 1, .adds = adds};
    if (keel_is_wide() || k == 0) {
        multiply_panels(keel_is_wide(), m, n, j, c, a, packed, packed_rows, 0);
        return;
    }
    float copy[COPIED_ROWS * (NARROW_DEPTH + LANES)] __attribute__((aligned(64)));
    // Rows an even number of lines apart crowd in a few sets of the cache; a copy pays from the second panel on.
    const bool copies = a_column == 1 && a_row % (2 * LANES) == 0 && n > LANES;
    const int64_t pieces = (k + NARROW_DEPTH - 1) / NARROW_DEPTH, step = copies ? COPIED_ROWS : m;
    for (int64_t row = 0; row < m; row += step)
        for (int64_t piece = 0; piece < pieces; piece++) {
            const int64_t from = k * piece / pieces, rows = least(step, m - row);
            const float *left = a + row * a_row + from * a_column;
            j.k = k * (piece + 1) / pieces - from;
            j.adds = adds || from > 0;
            if (copies) {
                j.a_row = keel_spread(j.k);
                for (int64_t r = 0; r < rows; r++) memcpy(copy + r * j.a_row, left + r * a_row, (size_t)j.k * sizeof(float));
                left = copy;
            }
            multiply_panels(false, rows, n, j, c + row * c_row, left, packed, packed_rows, from);
        }
}
