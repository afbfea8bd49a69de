// Products with a packed right-hand side: what a recurrent cell, which multiplies by the same weights at every step, and a convolution
// over time are made of. BLAS would pack the weights again at each call.
#ifndef KEEL_PANELS_H
#define KEEL_PANELS_H

#include "simd.h"

/// Sixteen numbers: one register of AVX-512, two of AVX2.
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));

#define LANES 16
/// The most rows of a tile, and the most registers a row. 6 x 4 fill the 32 registers of AVX-512, 6 x 1 the 16 of AVX2.
#define TILE_ROWS 6
#define TILE_WIDTH 4

// A tile's instruction set: where 512-bit registers are, it is as wide as they allow. Clang splits wide vectors unless told not to.
#ifdef __x86_64__
#define KEEL_WIDE __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
KEEL_INLINE bool keel_is_wide(void) { return __builtin_cpu_supports("x86-64-v4"); }
#else
#define KEEL_WIDE
KEEL_INLINE bool keel_is_wide(void) { return false; }
#endif

/// Lines that will be read next, and may have to come from memory: while a panel is multiplied, its tiles ask for those of the next panel, each
/// tile for its share, at a pace that memory keeps.
typedef struct {
    const float *from;
    int64_t step;
} keel_ahead;

KEEL_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// What tile i of `tiles` asks for while it takes the k rows of a panel that is b_row wide: of the next one, as wide, or again of the one at hand
/// where that is null or the tiles before asked for all of it.
KEEL_INLINE keel_ahead keel_share(const float *next, const float *at_hand, int64_t k, int64_t b_row, int64_t i, int64_t tiles) {
    const int64_t share = (b_row + tiles - 1) / tiles, from = i * share;
    return next && from < b_row ? (keel_ahead){next + from * k, least(share, b_row - from)} : (keel_ahead){at_hand, 0};
}

/// For one row, `width` registers wide. To the second-level cache: the first one is full of what is at hand.
KEEL_INLINE void keel_ask(int width, keel_ahead *ahead) {
    __builtin_prefetch(ahead->from, 0, 2);
    if (width > 1 && ahead->step > LANES)
#pragma clang loop unroll(full)
        for (int v = 1; v < width; v++) __builtin_prefetch(ahead->from + v * LANES, 0, 2);
    ahead->from += ahead->step;
}

/// sum[r][v] += Σ a[r, p] * b[p, v] over `k`; rows, width and whether `ahead` is null are constants where this is inlined.
KEEL_INLINE void keel_tile(int rows, int width, lanes sum[TILE_ROWS][TILE_WIDTH], int64_t k, const float *a, int64_t a_row,
                           int64_t a_column, const float *b, int64_t b_row, keel_ahead *ahead) {
    for (int64_t p = 0; p < k; p++, a += a_column, b += b_row) {
        if (ahead) keel_ask(width, ahead);
        // Rows that are columns in memory: the next tiles read on in the same lines, which no hardware foresees.
        if (a_row == 1) __builtin_prefetch(a + LANES);
        lanes right[TILE_WIDTH];
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) right[v] = *(const lanes *)(b + v * LANES);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            const float left = a[r * a_row];
#pragma clang loop unroll(full)
            for (int v = 0; v < width; v++) sum[r][v] += left * right[v];
        }
    }
}

/// The most columns of a panel.
#define PANEL (TILE_WIDTH * LANES)
/// Columns of a panel: as many as a tile has, so that a tile reads one line after the other. Lines further apart would share few sets of the
/// first-level cache.
KEEL_INLINE int64_t keel_panel_width(bool is_wide) { return is_wide ? PANEL : LANES; }

/// To whole registers.
KEEL_INLINE int64_t rounded(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
/// How far apart rows of n numbers had better begin: an odd number of cache lines, so that the six that a tile reads at a time lie in
/// different sets of the first-level cache. Measured on Zen 3, 96 x 16 x 192: 95 GFLOP/s, and 56 with rows 64 numbers apart.
KEEL_INLINE int64_t keel_spread(int64_t n) { return rounded(n) | LANES; }

/// The product of some rows with one panel.
typedef struct {
    int64_t k, c_row, a_row, a_column, b_row;
    /// The sum is over so many stretches of k; those of a and b begin so many floats apart.
    int64_t stretches, a_stretch, b_stretch;
    /// Columns of the last register that exist.
    int64_t last;
    /// Where the sum begins; null for 0. As wide as the panel.
    const float *bias;
    int32_t adds;
    /// The panel that is multiplied next; null if it isn't known.
    const float *next;
} keel_panel_product;

/// c [m, count] from one panel; `last` is found here.
void keel_multiply_panel(bool is_wide, int64_t m, int64_t count, keel_panel_product j, float *c, const float *a, const float *panel);

/// The rows that are left after whole tiles: `CASE(n)` for each count that there may be.
#define KEEL_TILE_CASES CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)

#endif
