#ifndef KEEL_MASKS_H
#define KEEL_MASKS_H

#include "walk.h"

/// z = condition ? x : y, for elements of `width` bytes (1, 2, 4 or 8): operands 0 to 3 of the walk are z, condition, x and y.
void keel_select(int32_t width, const keel_walk *walk, void *z, const uint8_t *condition, const void *x, const void *y);

/// How many of `count` bools are true.
int64_t keel_count_true(int64_t count, const uint8_t *mask);

/// Where the true ones of a mask of these sizes lie, in row-major order: place `t` of row `axis` of `places` [rank, limit] is the
/// position of the t-th along that axis. Places past the last true one are 0. There are at most `limit` true ones.
void keel_true_places(int32_t rank, const int64_t *sizes, int64_t limit, int64_t *places, const uint8_t *mask);

#endif
