#ifndef KEEL_SCATTER_H
#define KEEL_SCATTER_H

#include "elementwise.h"

/// What happens where an update meets what is there already.
typedef enum : int32_t { KEEL_SCATTER_SET, KEEL_SCATTER_ADD, KEEL_SCATTER_MULTIPLY, KEEL_SCATTER_MAXIMUM, KEEL_SCATTER_MINIMUM } keel_scatter_op;

/// An index for each element of [outer, count, inner]: `indices` holds it at `o * steps[0] + i * steps[1] + j * steps[2]`; a step of 0
/// means that all along that axis share one. Indices say a place in `0..<n`; negative ones count from the end.
typedef struct {
    int64_t outer, n, inner, count, steps[3];
    int32_t is_64_bit;
    const void *indices;
} keel_picks;

/// The position, in [outer, count, inner], of the first index outside `-n..<n`, or -1.
int64_t keel_first_bad_pick(const keel_picks *p);

/// out[o, i, j] = x[o, index(o, i, j), j], of elements of `width` bytes (1, 2, 4 or 8); x is [outer, n, inner].
void keel_reference_take_along(int32_t width, const keel_picks *p, void *out, const void *x);
void keel_take_along(int32_t width, const keel_picks *p, void *out, const void *x);

/// out[o, index(o, i, j), j] = op(itself, updates[o, i, j]), in ascending order of i; `out` [outer, n, inner] holds what is updated.
/// NaN wins a maximum and a minimum; bools can be set only.
void keel_reference_scatter(keel_scatter_op op, keel_dtype dtype, const keel_picks *p, void *out, const void *updates);
void keel_scatter(keel_scatter_op op, keel_dtype dtype, const keel_picks *p, void *out, const void *updates);

#endif
