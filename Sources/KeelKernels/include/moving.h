#ifndef KEEL_MOVING_H
#define KEEL_MOVING_H

#include "walk.h"

/// Copies elements of `width` bytes (1, 2, 4 or 8) between two layouts of one shape; operand 0 is written, 1 read.
void keel_copy(int32_t width, const keel_walk *walk, void *out, const void *in);

/// Writes `count` copies of the element at `value`.
void keel_fill(int32_t width, int64_t count, void *out, const void *value);

/// out[i] = start + i * step.
void keel_iota(int32_t is_64_bit, int64_t count, int64_t start, int64_t step, void *out);

/// Between plain [n, c, s] and channel-blocked [n, ceil(c / block), s, block] floats; padding lanes become zero.
void keel_block_f32(int64_t n, int64_t c, int64_t s, int32_t block, float *blocked, const float *plain);
void keel_unblock_f32(int64_t n, int64_t c, int64_t s, int32_t block, float *plain, const float *blocked);

/// Zeroes the lanes past channel `c` in the last of `groups` groups.
void keel_clear_padding_f32(int64_t n, int64_t groups, int64_t s, int64_t c, int32_t block, float *x);

#endif
