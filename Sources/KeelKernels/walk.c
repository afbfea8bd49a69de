#include "include/walk.h"

void keel_walk_coalesce(keel_walk *w) {
    int32_t kept = 0;
    for (int32_t axis = 0; axis < w->rank; axis++) {
        if (w->shape[axis] == 1) continue;
        if (kept > 0) {
            int joins = 1;
            for (int32_t o = 0; o < w->operands; o++)
                joins &= w->strides[o][kept - 1] == w->strides[o][axis] * w->shape[axis];
            if (joins) {
                w->shape[kept - 1] *= w->shape[axis];
                for (int32_t o = 0; o < w->operands; o++) w->strides[o][kept - 1] = w->strides[o][axis];
                continue;
            }
        }
        w->shape[kept] = w->shape[axis];
        for (int32_t o = 0; o < w->operands; o++) w->strides[o][kept] = w->strides[o][axis];
        kept++;
    }
    if (kept == 0) {
        w->shape[0] = 1;
        for (int32_t o = 0; o < w->operands; o++) w->strides[o][0] = 1;
        kept = 1;
    }
    w->rank = kept;
}

int64_t keel_walk_rows(const keel_walk *w) {
    int64_t rows = 1;
    for (int32_t axis = 0; axis + 1 < w->rank; axis++) rows *= w->shape[axis];
    return rows;
}

void keel_walk_row(const keel_walk *w, int64_t row, int64_t offsets[KEEL_MAX_OPERANDS]) {
    for (int32_t o = 0; o < w->operands; o++) offsets[o] = 0;
    for (int32_t axis = w->rank - 2; axis >= 0; axis--) {
        const int64_t size = w->shape[axis], index = row % size;
        row /= size;
        for (int32_t o = 0; o < w->operands; o++) offsets[o] += index * w->strides[o][axis];
    }
}
