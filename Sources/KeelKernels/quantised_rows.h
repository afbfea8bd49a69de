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

/// Where sixteen channels of a position lie, counted from where its first channel does.
typedef struct {
    int64_t channel, count;
    /// That of either half, where both are whole and lie in one run each.
    bool is_whole;
    int64_t half[2];
} keel_byte_place;

/// Of outputs from `output` on.
KEEL_INLINE keel_byte_place keel_byte_place_of(const keel_byte_columns *b, int64_t output) {
    keel_byte_place p = {.channel = b->channel + output, .count = least(LANES, b->written - output)};
    p.is_whole = p.count == LANES;
    for (int i = 0; i < 2; i++) {
        const int64_t channel = p.channel + 8 * i, lane = channel % b->lanes;
        p.half[i] = channel / b->lanes * b->area * b->lanes + lane;
        p.is_whole = p.is_whole && lane + 8 <= b->lanes;
    }
    return p;
}

/// Sixteen results of position `position` of an image.
KEEL_INLINE void keel_finish_bytes(const keel_byte_columns *b, const keel_byte_place *place, const float *y, int64_t image, int64_t position) {
    float *const to = b->y + image * b->image + position * b->lanes;
    const float *const addend = b->end.addend ? b->end.addend + (to - b->y) : 0;
    if (place->is_whole) {
        for (int i = 0; i < 2; i++) keel_finish_eight(&b->end, y + 8 * i, to + place->half[i], addend ? addend + place->half[i] : 0);
        return;
    }
    for (int64_t i = 0; i < place->count; i++) {
        const int64_t channel = place->channel + i, at = channel / b->lanes * b->area * b->lanes + channel % b->lanes;
        float value = y[i];
        if (addend) value += addend[at];
        value = value < b->end.least ? b->end.least : value;
        to[at] = value > b->end.most ? b->end.most : value;
    }
}

/// All rows times all outputs, in parallel.
void keel_multiply_bytes(keel_quantised_path path, const keel_byte_rows *a, int64_t rows, const keel_byte_columns *b);
/// Numbers that lie in one run, as bytes.
void keel_quantise_run(int64_t count, uint8_t *q, const float *x, keel_byte_scale scale);

#endif
