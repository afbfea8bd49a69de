// Rows of bytes times packed weights: what a fully connected layer and a convolution are made of.
#ifndef KEEL_QUANTISED_ROWS_H
#define KEEL_QUANTISED_ROWS_H

#include "panels.h"
#include "quantised.h"

/// The left side: where the bytes of a row begin. A row is a position of an image; rows are numbered through all images.
typedef struct {
    const uint8_t *bytes;
    /// Positions of a line and of an image; how many bytes apart columns, lines and images begin.
    int64_t across, area, column, line, image;
    /// A row's sum is over `stretches` times `inner` stretches of `depth` * 4 bytes, which begin `stretch` and `step` bytes apart.
    int64_t depth, stretches, stretch, inner, step;
} keel_byte_rows;

/// The right side, and the result: panels of 16 outputs, [depth * stretches][16][4] signed bytes, then the 16 sums of their weights.
typedef struct {
    const int8_t *panels;
    /// There are so many outputs, the first of which is this channel of the result; so many are written, the last ones as zeros.
    int64_t outputs, channel, written;
    keel_byte_scale scale;
    keel_quantised_end end;
    /// The result lies as [images, channels / lanes, area, lanes], its images so many floats apart.
    float *y;
    int64_t lanes, area, image;
} keel_byte_columns;

/// Numbers that are worth a thread when they become bytes.
#define KEEL_QUANTISE_GRAIN (1 << 16)

/// Fours of bytes that a row's sum is over.
KEEL_INLINE int64_t keel_byte_depth(const keel_byte_rows *a) { return a->depth * a->stretches * a->inner; }
/// Bytes from panel to panel.
KEEL_INLINE int64_t keel_byte_panel(int64_t depth) { return (depth + 1) * 4 * LANES; }

/// Eight floats.
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/// What follows a dequantised sum with its bias, for eight results.
KEEL_INLINE void keel_finish_eight(const keel_quantised_end *end, const float *sums, float *to, const float *addend) {
    eight y = *(const eight *)sums;
    const eight low = (eight){0} + end->least, high = (eight){0} + end->most;
    if (addend) y += *(const eight *)addend;
    y = CHOSEN(y < low, low, y);
    *(eight *)to = CHOSEN(y > high, high, y);
}

/// Sixteen results of row `p` of an image, from `channel` on, of which `count` are written.
KEEL_INLINE void keel_finish_bytes(const keel_byte_columns *b, const float *y, int64_t image, int64_t p, int64_t channel, int64_t count) {
    const int64_t side = b->lanes, lane = channel % side, next = (b->area - 1) * side;
    float *const to = b->y + image * b->image + (channel / side * b->area + p) * side + lane;
    const float *const addend = b->end.addend ? b->end.addend + (to - b->y) : 0;
    int64_t i = 0;
    for (; i + 8 <= count && (lane + i) % side + 8 <= side; i += 8) {
        const int64_t place = i + (lane + i) / side * next;
        keel_finish_eight(&b->end, y + i, to + place, addend ? addend + place : 0);
    }
    for (; i < count; i++) {
        const int64_t place = i + (lane + i) / side * next;
        float value = y[i];
        if (addend) value += addend[place];
        value = value < b->end.least ? b->end.least : value;
        to[place] = value > b->end.most ? b->end.most : value;
    }
}

/// All rows times all outputs, in parallel.
void keel_multiply_bytes(keel_quantised_path path, const keel_byte_rows *a, int64_t rows, const keel_byte_columns *b);
/// Numbers that lie in one run, as bytes.
void keel_quantise_run(int64_t count, uint8_t *q, const float *x, keel_byte_scale scale);

#endif
