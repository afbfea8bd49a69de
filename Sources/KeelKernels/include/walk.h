#ifndef KEEL_WALK_H
#define KEEL_WALK_H

#include <stdint.h>

#define KEEL_MAX_RANK 8
#define KEEL_MAX_OPERANDS 5

/// How several operands are visited together: one shape, and each operand's strides in elements (0 along broadcast axes).
/// Operand 0 is the output.
typedef struct {
    int32_t rank;
    int32_t operands;
    int64_t shape[KEEL_MAX_RANK];
    int64_t strides[KEEL_MAX_OPERANDS][KEEL_MAX_RANK];
} keel_walk;

/// Drops axes of size 1 and merges neighbours that every operand can step through as one. The rank is 1 at least.
void keel_walk_coalesce(keel_walk *walk);

/// The number of rows, a row being the innermost axis.
int64_t keel_walk_rows(const keel_walk *walk);

/// Offsets in elements of row `row` for each operand.
void keel_walk_row(const keel_walk *walk, int64_t row, int64_t offsets[KEEL_MAX_OPERANDS]);

#endif
