#include "include/scatter.h"
#include "include/parallel.h"
#include "simd.h"

KEEL_INLINE int64_t pick(const keel_picks *p, int64_t at) {
    const int64_t index = p->is_64_bit ? ((const int64_t *)p->indices)[at] : ((const int32_t *)p->indices)[at];
    return index < 0 ? index + p->n : index;
}

KEEL_INLINE int64_t row_start(const keel_picks *p, int64_t o, int64_t i) { return o * p->steps[0] + i * p->steps[1]; }

int64_t keel_first_bad_pick(const keel_picks *p) {
    if (p->outer == 0 || p->count == 0 || p->inner == 0) return -1;
    // One look at each index, however many elements share it.
    const int64_t outer = p->steps[0] ? p->outer : 1, count = p->steps[1] ? p->count : 1, inner = p->steps[2] ? p->inner : 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < count; i++)
            for (int64_t j = 0; j < inner; j++) {
                const int64_t index = pick(p, row_start(p, o, i) + j * p->steps[2]);
                if (index < 0 || index >= p->n) return (o * p->count + i) * p->inner + j;
            }
    return -1;
}

// Plain loops.

void keel_reference_take_along(int32_t width, const keel_picks *p, void *out, const void *x) {
    for (int64_t o = 0; o < p->outer; o++)
        for (int64_t i = 0; i < p->count; i++)
            for (int64_t j = 0; j < p->inner; j++) {
                const int64_t index = pick(p, row_start(p, o, i) + j * p->steps[2]);
                const int64_t to = (o * p->count + i) * p->inner + j, from = (o * p->n + index) * p->inner + j;
                memcpy((char *)out + to * width, (const char *)x + from * width, (size_t)width);
            }
}

void keel_reference_scatter(keel_scatter_op op, keel_dtype dtype, const keel_picks *p, void *out, const void *updates) {
#define SCATTER(type, wide)                                                                                            \
    for (int64_t o = 0; o < p->outer; o++)                                                                             \
        for (int64_t i = 0; i < p->count; i++)                                                                         \
            for (int64_t j = 0; j < p->inner; j++) {                                                                   \
                const int64_t index = pick(p, row_start(p, o, i) + j * p->steps[2]);                                   \
                type *y = (type *)out + (o * p->n + index) * p->inner + j;                                             \
                const type x = ((const type *)updates)[(o * p->count + i) * p->inner + j];                             \
                switch (op) {                                                                                          \
                case KEEL_SCATTER_SET: *y = x; break;                                                                  \
                case KEEL_SCATTER_ADD: *y = (type)((wide)*y + (wide)x); break;                                         \
                case KEEL_SCATTER_MULTIPLY: *y = (type)((wide)*y * (wide)x); break;                                    \
                case KEEL_SCATTER_MAXIMUM: *y = x != x || x > *y ? x : *y; break;                                      \
                case KEEL_SCATTER_MINIMUM: *y = x != x || x < *y ? x : *y; break;                                      \
                }                                                                                                      \
            }                                                                                                          \
    break;
    switch (dtype) {
    case KEEL_FLOAT32: SCATTER(float, float)
    case KEEL_FLOAT64: SCATTER(double, double)
    case KEEL_INT32: SCATTER(int32_t, uint32_t)
    case KEEL_INT64: SCATTER(int64_t, uint64_t)
    case KEEL_UINT8:
    case KEEL_BOOL: SCATTER(uint8_t, uint32_t)
    }
#undef SCATTER
}

// Fast ones.

typedef struct {
    const keel_picks *p;
    int32_t width;
    char *out;
    const char *x;
} take_job;

#define TAKE(type, name)                                                                                               \
    KEEL_CLONES static void name(const keel_picks *p, int64_t begin, int64_t end, type *restrict out, const type *restrict x) { \
        const int64_t step = p->steps[2], inner = p->inner, n = p->n;                                                  \
        for (int64_t item = begin; item < end; item++) {                                                               \
            const int64_t o = item / p->count, at = row_start(p, o, item % p->count);                                  \
            type *restrict to = out + item * inner;                                                                    \
            const type *restrict from = x + o * n * inner;                                                             \
            if (p->is_64_bit) {                                                                                        \
                const int64_t *indices = (const int64_t *)p->indices + at;                                             \
                for (int64_t j = 0; j < inner; j++) {                                                                  \
                    const int64_t index = indices[j * step];                                                           \
                    to[j] = from[(index < 0 ? index + n : index) * inner + j];                                         \
                }                                                                                                      \
            } else {                                                                                                   \
                const int32_t *indices = (const int32_t *)p->indices + at;                                             \
                for (int64_t j = 0; j < inner; j++) {                                                                  \
                    const int64_t index = indices[j * step];                                                           \
                    to[j] = from[(index < 0 ? index + n : index) * inner + j];                                         \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
TAKE(uint8_t, take_1)
TAKE(uint16_t, take_2)
TAKE(uint32_t, take_4)
TAKE(uint64_t, take_8)

static void take_rows(void *context, int64_t begin, int64_t end) {
    const take_job *j = context;
    switch (j->width) {
    case 1: take_1(j->p, begin, end, (uint8_t *)j->out, (const uint8_t *)j->x); break;
    case 2: take_2(j->p, begin, end, (uint16_t *)j->out, (const uint16_t *)j->x); break;
    case 4: take_4(j->p, begin, end, (uint32_t *)j->out, (const uint32_t *)j->x); break;
    default: take_8(j->p, begin, end, (uint64_t *)j->out, (const uint64_t *)j->x);
    }
}

void keel_take_along(int32_t width, const keel_picks *p, void *out, const void *x) {
    take_job j = {p, width, out, x};
    keel_parallel(p->outer * p->count, 16384 / (p->inner + 1) + 1, take_rows, &j);
}

// A part owns some of [outer, n, inner] and goes through all indices that can lead there in ascending order: no two parts write to
// one place, and the order of the updates of a place doesn't depend on the number of parts.
typedef struct {
    int64_t outer0, outer1, n0, n1, inner0, inner1;
} scatter_part;

typedef struct {
    const keel_picks *p;
    keel_scatter_op op;
    keel_dtype dtype;
    int32_t axis;
    void *out;
    const void *updates;
} scatter_job;

#define SCATTER(type, name, expression)                                                                                \
    KEEL_CLONES static void name(const keel_picks *p, scatter_part a, type *restrict out, const type *restrict updates) { \
        const int64_t inner = p->inner, n = p->n, step = p->steps[2];                                                  \
        for (int64_t o = a.outer0; o < a.outer1; o++)                                                                  \
            for (int64_t i = 0; i < p->count; i++) {                                                                   \
                const int64_t at = row_start(p, o, i);                                                                 \
                const type *restrict from = updates + (o * p->count + i) * inner;                                      \
                if (step == 0) {                                                                                       \
                    const int64_t index = pick(p, at);                                                                 \
                    if (index < a.n0 || index >= a.n1) continue;                                                       \
                    type *restrict to = out + (o * n + index) * inner;                                                 \
                    for (int64_t j = a.inner0; j < a.inner1; j++) {                                                    \
                        const type x = from[j], y __attribute__((unused)) = to[j];                                     \
                        to[j] = (type)(expression);                                                                    \
                    }                                                                                                  \
                } else {                                                                                               \
                    for (int64_t j = a.inner0; j < a.inner1; j++) {                                                    \
                        const int64_t index = pick(p, at + j * step);                                                  \
                        if (index < a.n0 || index >= a.n1) continue;                                                   \
                        const int64_t place = (o * n + index) * inner + j;                                             \
                        const type x = from[j], y __attribute__((unused)) = out[place];                                \
                        out[place] = (type)(expression);                                                               \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
    }
#define ARITHMETIC(type, suffix, larger, smaller)                                                                      \
    SCATTER(type, add_##suffix, y + x)                                                                                 \
    SCATTER(type, multiply_##suffix, y * x)                                                                            \
    SCATTER(type, maximum_##suffix, (larger) ? x : y)                                                                  \
    SCATTER(type, minimum_##suffix, (smaller) ? x : y)
ARITHMETIC(float, f32, x != x || x > y, x != x || x < y)
ARITHMETIC(double, f64, x != x || x > y, x != x || x < y)
// Whole numbers wrap around.
SCATTER(uint32_t, add_i32, y + x)
SCATTER(uint32_t, multiply_i32, y * x)
SCATTER(int32_t, maximum_i32, x > y ? x : y)
SCATTER(int32_t, minimum_i32, x < y ? x : y)
SCATTER(uint64_t, add_i64, y + x)
SCATTER(uint64_t, multiply_i64, y * x)
SCATTER(int64_t, maximum_i64, x > y ? x : y)
SCATTER(int64_t, minimum_i64, x < y ? x : y)
ARITHMETIC(uint8_t, u8, x > y, x < y)
SCATTER(uint32_t, set_4, x)
SCATTER(uint64_t, set_8, x)
SCATTER(uint8_t, set_1, x)

static void scatter_into(const scatter_job *j, scatter_part a) {
    const keel_picks *p = j->p;
    void *out = j->out;
    const void *x = j->updates;
#define RUN(suffix)                                                                                                    \
    switch (j->op) {                                                                                                   \
    case KEEL_SCATTER_SET: break;                                                                                      \
    case KEEL_SCATTER_ADD: add_##suffix(p, a, out, x); break;                                                          \
    case KEEL_SCATTER_MULTIPLY: multiply_##suffix(p, a, out, x); break;                                                \
    case KEEL_SCATTER_MAXIMUM: maximum_##suffix(p, a, out, x); break;                                                  \
    case KEEL_SCATTER_MINIMUM: minimum_##suffix(p, a, out, x); break;                                                  \
    }                                                                                                                  \
    break;
    if (j->op == KEEL_SCATTER_SET) {
        switch (j->dtype) {
        case KEEL_FLOAT32:
        case KEEL_INT32: set_4(p, a, out, x); break;
        case KEEL_FLOAT64:
        case KEEL_INT64: set_8(p, a, out, x); break;
        case KEEL_UINT8:
        case KEEL_BOOL: set_1(p, a, out, x); break;
        }
        return;
    }
    switch (j->dtype) {
    case KEEL_FLOAT32: RUN(f32)
    case KEEL_FLOAT64: RUN(f64)
    case KEEL_INT32: RUN(i32)
    case KEEL_INT64: RUN(i64)
    case KEEL_UINT8:
    case KEEL_BOOL: RUN(u8)
    }
}

static void scatter_range(void *context, int64_t begin, int64_t end) {
    const scatter_job *j = context;
    scatter_part a = {0, j->p->outer, 0, j->p->n, 0, j->p->inner};
    if (j->axis == 0) a.outer0 = begin, a.outer1 = end;
    else if (j->axis == 1) a.n0 = begin, a.n1 = end;
    else a.inner0 = begin, a.inner1 = end;
    scatter_into(j, a);
}

void keel_scatter(keel_scatter_op op, keel_dtype dtype, const keel_picks *p, void *out, const void *updates) {
    scatter_job j = {p, op, dtype, 0, out, updates};
    const int64_t each = p->count * p->inner;
    if (p->outer >= 8) {
        keel_parallel(p->outer, 16384 / (each + 1) + 1, scatter_range, &j);
    } else if (p->inner >= 64) {
        j.axis = 2;
        keel_parallel(p->inner, 32768 / (p->outer * p->count + 1) + 32, scatter_range, &j);
    } else {
        // Every part reads all indices: worth it from long lists on.
        j.axis = 1;
        keel_parallel(p->n, p->outer * each < 65536 ? p->n : 1, scatter_range, &j);
    }
}
