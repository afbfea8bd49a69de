// A picture as bytes, as convolutions read it.
#ifndef KEEL_QUANTISED_PICTURE_H
#define KEEL_QUANTISED_PICTURE_H

#include "quantised_rows.h"

/// A picture as bytes with the padding that windows reach: [n, height, width, channels], the channels of each group in whole fours. Of lines and
/// columns only each `step`-th.
typedef struct {
    int64_t height, width, step_h, step_w, group, channels;
} keel_byte_picture;

/// What the windows see: of lines and columns that a window of one passes over, only those that it doesn't.
keel_byte_picture keel_byte_picture_of(const keel_window *at);
/// q from x [n, c / lanes, h, w, lanes], in parallel. What is no picture is a zero.
void keel_quantise_picture(const keel_window *at, keel_byte_picture to, uint8_t *q, const float *x, int64_t lanes, keel_byte_scale scale);

#endif
