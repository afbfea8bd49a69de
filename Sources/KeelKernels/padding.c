#include "include/padding.h"
#include "include/parallel.h"
#include "simd.h"

// The element of 0..<n that stands at position i, which may lie beyond the edges; -1 for the constant.
KEEL_INLINE int64_t source(keel_pad_mode mode, int64_t i, int64_t n) {
    if (i >= 0 && i < n) return i;
    switch (mode) {
    case KEEL_PAD_CONSTANT: return -1;
    case KEEL_PAD_REFLECT: return i < 0 ? -i : 2 * (n - 1) - i;
    case KEEL_PAD_EDGE: return i < 0 ? 0 : n - 1;
    case KEEL_PAD_WRAP: return (i % n + n) % n;
    }
}

static int64_t padded_size(const keel_padding *p, int32_t axis) { return p->before[axis] + p->sizes[axis] + p->after[axis]; }

// Plain loops.

void keel_reference_pad(int32_t width, const keel_padding *p, void *y, const void *x, const void *value) {
    int64_t count = 1;
    for (int32_t axis = 0; axis < p->rank; axis++) count *= padded_size(p, axis);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, at = 0, step = 1;
        int inside = 1;
        for (int32_t axis = p->rank - 1; axis >= 0; axis--) {
            const int64_t size = padded_size(p, axis), place = source(p->mode, rest % size - p->before[axis], p->sizes[axis]);
            rest /= size;
            inside &= place >= 0;
            at += place * step;
            step *= p->sizes[axis];
        }
        memcpy((char *)y + i * width, inside ? (const char *)x + at * width : (const char *)value, (size_t)width);
    }
}

#define REFERENCE_UNPAD(type)                                                                                          \
    {                                                                                                                  \
        type *to = dx;                                                                                                 \
        const type *from = dy;                                                                                         \
        for (int64_t i = 0; i < outer * n * inner; i++) to[i] = 0;                                                     \
        for (int64_t o = 0; o < outer; o++)                                                                            \
            for (int64_t i = 0; i < size; i++)                                                                         \
                for (int64_t j = 0; j < inner; j++)                                                                    \
                    to[(o * n + source(mode, i - before, n)) * inner + j] += from[(o * size + i) * inner + j];         \
    }

void keel_reference_unpad(keel_dtype dtype, keel_pad_mode mode, int64_t outer, int64_t n, int64_t inner, int64_t before, int64_t after, void *dx, const void *dy) {
    const int64_t size = before + n + after;
    if (dtype == KEEL_FLOAT32) REFERENCE_UNPAD(float)
    else REFERENCE_UNPAD(double)
}

// Fast: rows along the last axis.

typedef struct {
    const keel_padding *p;
    int32_t width;
    char *y;
    const char *x;
    const void *value;
} pad_job;

#define FILL_ROW(type, name)                                                                                           \
    /* x is NULL where the whole row is constant. */                                                                   \
    static void name(const pad_job *job, int64_t n, int64_t before, int64_t after, type *restrict y, const type *restrict x) { \
        const type value = *(const type *)job->value;                                                                  \
        if (!x) {                                                                                                      \
            for (int64_t i = 0; i < before + n + after; i++) y[i] = value;                                             \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t i = 0; i < before; i++) {                                                                         \
            const int64_t from = source(job->p->mode, i - before, n);                                                  \
            y[i] = from < 0 ? value : x[from];                                                                         \
        }                                                                                                              \
        memcpy(y + before, x, (size_t)n * sizeof(type));                                                               \
        for (int64_t i = 0; i < after; i++) {                                                                          \
            const int64_t from = source(job->p->mode, n + i, n);                                                       \
            y[before + n + i] = from < 0 ? value : x[from];                                                            \
        }                                                                                                              \
    }
FILL_ROW(uint8_t, fill_row_1)
FILL_ROW(uint16_t, fill_row_2)
FILL_ROW(uint32_t, fill_row_4)
FILL_ROW(uint64_t, fill_row_8)

static void pad_rows(void *context, int64_t begin, int64_t end) {
    const pad_job *job = context;
    const keel_padding *p = job->p;
    const int32_t last = p->rank - 1;
    const int64_t n = p->sizes[last], before = p->before[last], after = p->after[last], size = before + n + after;
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, at = 0, step = 1;
        int inside = 1;
        for (int32_t axis = last - 1; axis >= 0; axis--) {
            const int64_t along = padded_size(p, axis), place = source(p->mode, rest % along - p->before[axis], p->sizes[axis]);
            rest /= along;
            inside &= place >= 0;
            at += place * step;
            step *= p->sizes[axis];
        }
        const char *x = inside ? job->x + at * n * job->width : NULL;
        char *y = job->y + row * size * job->width;
        switch (job->width) {
        case 1: fill_row_1(job, n, before, after, (uint8_t *)y, (const uint8_t *)x); break;
        case 2: fill_row_2(job, n, before, after, (uint16_t *)(void *)y, (const uint16_t *)(const void *)x); break;
        case 4: fill_row_4(job, n, before, after, (uint32_t *)(void *)y, (const uint32_t *)(const void *)x); break;
        default: fill_row_8(job, n, before, after, (uint64_t *)(void *)y, (const uint64_t *)(const void *)x);
        }
    }
}

void keel_pad(int32_t width, const keel_padding *p, void *y, const void *x, const void *value) {
    pad_job job = {p, width, y, x, value};
    int64_t rows = 1;
    for (int32_t axis = 0; axis + 1 < p->rank; axis++) rows *= padded_size(p, axis);
    keel_parallel(rows, 32768 / (padded_size(p, p->rank - 1) + 1) + 1, pad_rows, &job);
}

typedef struct {
    keel_pad_mode mode;
    int64_t n, inner, before, after;
    void *dx;
    const void *dy;
} unpad_job;

#define UNPAD(type, name)                                                                                              \
    KEEL_CLONES static void name##_add(int64_t count, type *restrict sum, const type *restrict x) {                    \
        for (int64_t i = 0; i < count; i++) sum[i] += x[i];                                                            \
    }                                                                                                                  \
    static void name(void *context, int64_t begin, int64_t end) {                                                      \
        const unpad_job *job = context;                                                                                \
        const int64_t n = job->n, inner = job->inner, before = job->before, size = before + n + job->after;            \
        for (int64_t o = begin; o < end; o++) {                                                                        \
            type *dx = (type *)job->dx + o * n * inner;                                                                \
            const type *dy = (const type *)job->dy + o * size * inner;                                                 \
            memcpy(dx, dy + before * inner, (size_t)(n * inner) * sizeof(type));                                       \
            for (int64_t i = 0; i < before; i++)                                                                       \
                name##_add(inner, dx + source(job->mode, i - before, n) * inner, dy + i * inner);                      \
            for (int64_t i = before + n; i < size; i++)                                                                \
                name##_add(inner, dx + source(job->mode, i - before, n) * inner, dy + i * inner);                      \
        }                                                                                                              \
    }
UNPAD(float, unpad_f32)
UNPAD(double, unpad_f64)

void keel_unpad(keel_dtype dtype, keel_pad_mode mode, int64_t outer, int64_t n, int64_t inner, int64_t before, int64_t after, void *dx, const void *dy) {
    unpad_job job = {mode, n, inner, before, after, dx, dy};
    keel_parallel(outer, 32768 / (n * inner + 1) + 1, dtype == KEEL_FLOAT32 ? unpad_f32 : unpad_f64, &job);
}
