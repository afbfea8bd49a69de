// Winograd's F(4x4, 3x3): tiles, and their transforms.
#ifndef KEEL_WINOGRAD_TILES_H
#define KEEL_WINOGRAD_TILES_H

#include "include/winograd.h"
#include "panels.h"

/// Half a panel: eight channels, one register of AVX2.
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

#define POINTS 36
/// Results, and numbers that they are made of, along a side of a tile.
#define TILE 4
#define REACH 6

/// Tiles are numbered through all images. Transformed ones lie as [point][channel / 16][tile][16]; the points are `stride` apart, which
/// is no power of two, or all 36 would compete for the same lines of the cache.
typedef struct {
    int64_t across, down, all;
} keel_tiles;

KEEL_INLINE keel_tiles keel_tiles_of(const keel_winograd *at) {
    const int64_t across = (at->ow + TILE - 1) / TILE, down = (at->oh + TILE - 1) / TILE;
    return (keel_tiles){across, down, at->n * across * down};
}

KEEL_INLINE int64_t keel_point_stride(int64_t channels, int64_t tiles) { return channels * tiles + LANES; }

/// A picture's side of a convolution: `lanes` channels side by side.
typedef struct {
    int64_t h, w, channels, lanes;
} keel_side;

/// Tiles first..<last of x, transformed for multiplication: 16 channels from `channel` on. B' d B.
void keel_winograd_spread_x(const keel_winograd *at, keel_side side, int64_t channel, int64_t first, int64_t last, int64_t stride, float *v, const float *x);
/// The same for an output's gradient: A dy A'.
void keel_winograd_spread_dy(const keel_winograd *at, keel_side side, int64_t channel, int64_t first, int64_t last, int64_t stride, float *v, const float *dy);
/// The way back: A' m A, and what follows.
void keel_winograd_gather_y(const keel_winograd *at, keel_side side, int64_t channel, int64_t first, int64_t last, int64_t stride, float *y, const float *m, const keel_conv_end *end);
/// Filters for 16 outputs, G g G', as [point][in][16].
void keel_winograd_spread_filters(const keel_winograd *at, keel_winograd_pass pass, int64_t channel, int64_t stride, float *u, const float *weight);
/// Gradients of filters from those of their transforms, [point][in][out]: G' du G.
void keel_winograd_gather_filters(const keel_winograd *at, int64_t channel, int64_t stride, float *dweight, const float *du);

#endif
