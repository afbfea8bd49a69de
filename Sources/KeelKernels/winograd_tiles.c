#include "winograd_tiles.h"

// One side of each transform, on six or four or three vectors `step` apart. Written out: the matrices are mostly zeros and ones.

/// B', 6 from 6.
KEEL_INLINE void spread_six(const eight *d, int step, eight *o, int to) {
    const eight d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const eight even = d4 - 4 * d2, odd = d3 - 4 * d1, near = d4 - d2, far = 2 * (d3 - d1);
    o[0] = 4 * d0 - 5 * d2 + d4;
    o[to] = even + odd;
    o[2 * to] = even - odd;
    o[3 * to] = near + far;
    o[4 * to] = near - far;
    o[5 * to] = 4 * d1 - 5 * d3 + d5;
}

/// A, 6 from 4.
KEEL_INLINE void spread_four(const eight *d, int step, eight *o, int to) {
    const eight d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    const eight even = d0 + d2, odd = d1 + d3, far_even = d0 + 4 * d2, far_odd = 2 * d1 + 8 * d3;
    o[0] = d0;
    o[to] = even + odd;
    o[2 * to] = even - odd;
    o[3 * to] = far_even + far_odd;
    o[4 * to] = far_even - far_odd;
    o[5 * to] = d3;
}

/// A', 4 from 6.
KEEL_INLINE void gather_four(const eight *m, int step, eight *o, int to) {
    const eight s1 = m[step] + m[2 * step], d1 = m[step] - m[2 * step], s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
    o[0] = m[0] + s1 + s2;
    o[to] = d1 + 2 * d2;
    o[2 * to] = s1 + 4 * s2;
    o[3 * to] = d1 + 8 * d2 + m[5 * step];
}

/// G, 6 from 3.
KEEL_INLINE void spread_three(const lanes *g, int step, lanes *o, int to) {
    const lanes g0 = g[0], g1 = g[step], g2 = g[2 * step];
    const lanes sixth = (g0 + g2) * (-1.0f / 6), far = g0 * (1.0f / 24) + g2 * (1.0f / 6);
    o[0] = g0 * 0.25f;
    o[to] = sixth - g1 * (1.0f / 6);
    o[2 * to] = sixth + g1 * (1.0f / 6);
    o[3 * to] = far + g1 * (1.0f / 12);
    o[4 * to] = far - g1 * (1.0f / 12);
    o[5 * to] = g2;
}

/// G', 3 from 6.
KEEL_INLINE void gather_three(const lanes *u, int step, lanes *o, int to) {
    const lanes s1 = u[step] + u[2 * step], d1 = u[step] - u[2 * step], s2 = u[3 * step] + u[4 * step], d2 = u[3 * step] - u[4 * step];
    o[0] = u[0] * 0.25f - s1 * (1.0f / 6) + s2 * (1.0f / 24);
    o[to] = d1 * (-1.0f / 6) + d2 * (1.0f / 12);
    o[2 * to] = (s2 - s1) * (1.0f / 6) + u[5 * step];
}

typedef struct {
    int64_t image, row, column;
} place;

KEEL_INLINE place place_of(const keel_tiles *tiles, int64_t tile) {
    const int64_t image = tile / (tiles->across * tiles->down), rest = tile % (tiles->across * tiles->down);
    return (place){image, rest / tiles->across * TILE, rest % tiles->across * TILE};
}

/// Where eight channels of an image begin.
KEEL_INLINE int64_t plane(const keel_side *side, int64_t image, int64_t channel) {
    return (image * side->channels + channel / side->lanes * side->lanes) * side->h * side->w + channel % side->lanes;
}

/// A tile of `size` by `size` whose first number stands at (row, column), zeros where there is no picture.
KEEL_INLINE void read_tile(const keel_side *side, int size, int64_t row, int64_t column, eight *d, const float *x) {
    if (row >= 0 && column >= 0 && row + size <= side->h && column + size <= side->w) {
        const float *from = x + (row * side->w + column) * side->lanes;
        for (int i = 0; i < size; i++)
            for (int j = 0; j < size; j++) d[i * size + j] = *(const eight *)(from + (i * side->w + j) * side->lanes);
        return;
    }
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            const int64_t r = row + i, c = column + j;
            const bool inside = r >= 0 && r < side->h && c >= 0 && c < side->w;
            d[i * size + j] = inside ? *(const eight *)(x + (r * side->w + c) * side->lanes) : (eight){0};
        }
}

/// Asks for a tile that will be read with the next channels: its rows are too short for the processor to foresee.
KEEL_INLINE void foresee_tile(const keel_side *side, int size, int64_t row, int64_t column, const float *x) {
    for (int64_t r = row < 0 ? 0 : row; r < row + size && r < side->h; r++) {
        const float *from = x + (r * side->w + column) * side->lanes;
        __builtin_prefetch(from);
        __builtin_prefetch(from + 16);
    }
}

KEEL_CLONES void keel_winograd_spread_x(const keel_winograd *at, keel_side side, int64_t channel, int64_t first, int64_t last, int64_t stride, float *v, const float *x) {
    const keel_tiles tiles = keel_tiles_of(at);
    eight d[REACH * REACH], half[POINTS], o[POINTS];
    for (int64_t t = first; t < last; t++) {
        const place p = place_of(&tiles, t);
        for (int part = 0; part < LANES; part += 8) {
            read_tile(&side, REACH, p.row - at->top, p.column - at->left, d, x + plane(&side, p.image, channel + part));
            if (channel + LANES < side.channels) foresee_tile(&side, REACH, p.row - at->top, p.column, x + plane(&side, p.image, channel + part + LANES));
            for (int i = 0; i < REACH; i++) spread_six(d + i, REACH, half + i, REACH);
            for (int i = 0; i < REACH; i++) spread_six(half + i * REACH, 1, o + i * REACH, 1);
            float *to = v + (t - first) * LANES + part;
            for (int i = 0; i < POINTS; i++) *(eight *)(to + i * stride) = o[i];
        }
    }
}

KEEL_CLONES void keel_winograd_spread_dy(const keel_winograd *at, keel_side side, int64_t channel, int64_t first, int64_t last, int64_t stride, float *v, const float *dy) {
    const keel_tiles tiles = keel_tiles_of(at);
    eight d[TILE * TILE], half[REACH * TILE], o[POINTS];
    for (int64_t t = first; t < last; t++) {
        const place p = place_of(&tiles, t);
        for (int part = 0; part < LANES; part += 8) {
            read_tile(&side, TILE, p.row, p.column, d, dy + plane(&side, p.image, channel + part));
            if (channel + LANES < side.channels) foresee_tile(&side, TILE, p.row, p.column, dy + plane(&side, p.image, channel + part + LANES));
            for (int i = 0; i < TILE; i++) spread_four(d + i, TILE, half + i, TILE);
            for (int i = 0; i < REACH; i++) spread_four(half + i * TILE, 1, o + i * REACH, 1);
            float *to = v + (t - first) * LANES + part;
            for (int i = 0; i < POINTS; i++) *(eight *)(to + i * stride) = o[i];
        }
    }
}

KEEL_CLONES void keel_winograd_gather_y(const keel_winograd *at, keel_side side, int64_t channel, int64_t first, int64_t last, int64_t stride, float *y, const float *m, const keel_conv_end *end) {
    const bool is_limited = end->least > -INFINITY || end->most < INFINITY;
    const eight low = (eight){0} + end->least, high = (eight){0} + end->most;
    const keel_tiles tiles = keel_tiles_of(at);
    eight d[POINTS], half[TILE * REACH], o[TILE * TILE];
    for (int64_t t = first; t < last; t++) {
        const place p = place_of(&tiles, t);
        const int64_t rows = least(TILE, side.h - p.row), columns = least(TILE, side.w - p.column);
        for (int part = 0; part < LANES; part += 8) {
            const float *from = m + (t - first) * LANES + part;
            for (int i = 0; i < POINTS; i++) d[i] = *(const eight *)(from + i * stride);
            for (int i = 0; i < REACH; i++) gather_four(d + i, REACH, half + i, REACH);
            for (int i = 0; i < TILE; i++) gather_four(half + i * REACH, 1, o + i * TILE, 1);
            if (end->bias)
                for (int i = 0; i < TILE * TILE; i++) o[i] += *(const eight *)(end->bias + channel + part);
            const int64_t offset = plane(&side, p.image, channel + part) + (p.row * side.w + p.column) * side.lanes;
            float *to = y + offset;
            if (end->addend)
                for (int64_t i = 0; i < rows; i++)
                    for (int64_t j = 0; j < columns; j++) o[i * TILE + j] += *(const eight *)(end->addend + offset + (i * side.w + j) * side.lanes);
            if (is_limited)
                for (int i = 0; i < TILE * TILE; i++) {
                    o[i] = CHOSEN(o[i] < low, low, o[i]);
                    o[i] = CHOSEN(o[i] > high, high, o[i]);
                }
            if (rows == TILE && columns == TILE) {
                for (int i = 0; i < TILE; i++)
                    for (int j = 0; j < TILE; j++) *(eight *)(to + (i * side.w + j) * side.lanes) = o[i * TILE + j];
            } else {
                for (int64_t i = 0; i < rows; i++)
                    for (int64_t j = 0; j < columns; j++) *(eight *)(to + (i * side.w + j) * side.lanes) = o[i * TILE + j];
            }
        }
    }
}

KEEL_CLONES void keel_winograd_spread_filters(const keel_winograd *at, keel_winograd_pass pass, int64_t channel, int64_t stride, float *u, const float *weight) {
    const bool back = pass == KEEL_WINOGRAD_INPUT_GRADIENT;
    const int64_t step_out = back ? 9 : at->in * 9, step_in = back ? at->out * 9 : 9;
    lanes g[9], half[18], o[POINTS];
    for (int64_t c = 0; c < at->in; c++) {
        for (int k = 0; k < LANES; k++) {
            const float *from = weight + (channel + k) * step_out + c * step_in;
            for (int i = 0; i < 9; i++) ((float *)(g + (back ? 8 - i : i)))[k] = from[i];
        }
        for (int i = 0; i < 3; i++) spread_three(g + i, 3, half + i, 3);
        for (int i = 0; i < REACH; i++) spread_three(half + i * 3, 1, o + i * REACH, 1);
        for (int i = 0; i < POINTS; i++) *(lanes *)(u + i * stride + c * LANES) = o[i];
    }
}

KEEL_CLONES void keel_winograd_gather_filters(const keel_winograd *at, int64_t channel, int64_t stride, float *dweight, const float *du) {
    lanes d[POINTS], half[18], g[9];
    for (int64_t c = 0; c < at->in; c++) {
        for (int i = 0; i < POINTS; i++) d[i] = *(const lanes *)(du + i * stride + c * at->out + channel);
        for (int i = 0; i < REACH; i++) gather_three(d + i, REACH, half + i, REACH);
        for (int i = 0; i < 3; i++) gather_three(half + i * REACH, 1, g + i * 3, 1);
        for (int k = 0; k < LANES; k++) {
            float *to = dweight + ((channel + k) * at->in + c) * 9;
            for (int i = 0; i < 9; i++) to[i] = ((const float *)(g + i))[k];
        }
    }
}
