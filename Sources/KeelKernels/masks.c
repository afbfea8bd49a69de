#include "include/masks.h"
#include "include/parallel.h"
#include "simd.h"

typedef struct {
    const keel_walk *walk;
    int32_t width;
    char *z;
    const uint8_t *condition;
    const char *x, *y;
} select_job;

// Both are read, whatever the condition, so that there is no branch. Steps of 0 and 1 are told to the compiler as constants.
#define SELECT(type, name)                                                                                             \
    KEEL_INLINE void name##_steps(int64_t n, type *restrict z, int64_t sz, const uint8_t *c, int64_t sc, const type *x, int64_t sx, \
                                  const type *y, int64_t sy) {                                                         \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const type a = x[i * sx], b = y[i * sy];                                                                   \
            z[i * sz] = c[i * sc] ? a : b;                                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    KEEL_CLONES static void name(int64_t n, type *restrict z, int64_t sz, const uint8_t *c, int64_t sc, const type *x, int64_t sx, \
                                 const type *y, int64_t sy) {                                                          \
        if (sz == 1 && sc == 1 && sx == 1 && sy == 1) name##_steps(n, z, 1, c, 1, x, 1, y, 1);                         \
        else if (sz == 1 && sc == 1 && sx == 1 && sy == 0) name##_steps(n, z, 1, c, 1, x, 1, y, 0);                    \
        else if (sz == 1 && sc == 1 && sx == 0 && sy == 1) name##_steps(n, z, 1, c, 1, x, 0, y, 1);                    \
        else name##_steps(n, z, sz, c, sc, x, sx, y, sy);                                                              \
    }
SELECT(uint8_t, select_1)
SELECT(uint16_t, select_2)
SELECT(uint32_t, select_4)
SELECT(uint64_t, select_8)

// `count` elements of a row, from element `start` of it.
static void select_some(const select_job *j, const int64_t *offsets, int64_t start, int64_t count) {
    const keel_walk *w = j->walk;
    int64_t step[4], at[4];
    for (int32_t o = 0; o < 4; o++) {
        step[o] = w->strides[o][w->rank - 1];
        at[o] = offsets[o] + start * step[o];
    }
    char *z = j->z + at[0] * j->width;
    const char *x = j->x + at[2] * j->width, *y = j->y + at[3] * j->width;
    const uint8_t *c = j->condition + at[1];
    switch (j->width) {
    case 1: select_1(count, (uint8_t *)z, step[0], c, step[1], (const uint8_t *)x, step[2], (const uint8_t *)y, step[3]); break;
    case 2: select_2(count, (void *)z, step[0], c, step[1], (const void *)x, step[2], (const void *)y, step[3]); break;
    case 4: select_4(count, (void *)z, step[0], c, step[1], (const void *)x, step[2], (const void *)y, step[3]); break;
    default: select_8(count, (void *)z, step[0], c, step[1], (const void *)x, step[2], (const void *)y, step[3]);
    }
}

static void select_flat(void *context, int64_t begin, int64_t end) {
    const int64_t none[KEEL_MAX_OPERANDS] = {0};
    select_some(context, none, begin, end - begin);
}

static void select_rows(void *context, int64_t begin, int64_t end) {
    const select_job *j = context;
    int64_t offsets[KEEL_MAX_OPERANDS];
    for (int64_t row = begin; row < end; row++) {
        keel_walk_row(j->walk, row, offsets);
        select_some(j, offsets, 0, j->walk->shape[j->walk->rank - 1]);
    }
}

void keel_select(int32_t width, const keel_walk *w, void *z, const uint8_t *condition, const void *x, const void *y) {
    select_job j = {w, width, z, condition, x, y};
    if (w->rank == 1) keel_parallel(w->shape[0], 32768, select_flat, &j);
    else keel_parallel(keel_walk_rows(w), 32768 / (w->shape[w->rank - 1] + 1) + 1, select_rows, &j);
}

KEEL_CLONES int64_t keel_count_true(int64_t count, const uint8_t *mask) {
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) found += mask[i] != 0;
    return found;
}

void keel_true_places(int32_t rank, const int64_t *sizes, int64_t limit, int64_t *places, const uint8_t *mask) {
    int64_t count = 1;
    for (int32_t axis = 0; axis < rank; axis++) count *= sizes[axis];
    memset(places, 0, (size_t)(rank * limit) * sizeof *places);
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        // Masks are often nearly empty: eight false ones at a time.
        uint64_t eight = 1;
        if (i + 8 <= count) memcpy(&eight, mask + i, 8);
        if (eight == 0) {
            i += 7;
            continue;
        }
        if (!mask[i]) continue;
        int64_t rest = i;
        for (int32_t axis = rank - 1; axis >= 0; axis--) {
            places[axis * limit + found] = rest % sizes[axis];
            rest /= sizes[axis];
        }
        found++;
    }
}
