#include "include/indexing.h"
#include "include/parallel.h"
#include "simd.h"

KEEL_INLINE int64_t index_at(const void *indices, int32_t is_64_bit, int64_t i) {
    return is_64_bit ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
}

KEEL_INLINE int64_t wrapped(int64_t index, int64_t n) { return index < 0 ? index + n : index; }

// Whether any of a few indices lies outside; without a branch for each, so that the loop is vectorised.
KEEL_CLONES static int any_bad_64(int64_t count, const int64_t *restrict indices, int64_t n) {
    uint64_t bad = 0;
    for (int64_t i = 0; i < count; i++) bad |= (uint64_t)indices[i] + (uint64_t)n >= 2 * (uint64_t)n;
    return bad != 0;
}
KEEL_CLONES static int any_bad_32(int64_t count, const int32_t *restrict indices, int64_t n) {
    uint64_t bad = 0;
    for (int64_t i = 0; i < count; i++) bad |= (uint64_t)(int64_t)indices[i] + (uint64_t)n >= 2 * (uint64_t)n;
    return bad != 0;
}

int64_t keel_first_bad_index(int32_t is_64_bit, int64_t count, const void *indices, int64_t n) {
    for (int64_t start = 0; start < count; start += 1024) {
        const int64_t end = count - start < 1024 ? count : start + 1024;
        if (!(is_64_bit ? any_bad_64(end - start, (const int64_t *)indices + start, n) : any_bad_32(end - start, (const int32_t *)indices + start, n)))
            continue;
        for (int64_t i = start; i < end; i++) {
            const int64_t index = index_at(indices, is_64_bit, i);
            if (index < -n || index >= n) return i;
        }
    }
    return -1;
}

typedef struct {
    int64_t n, row, count;
    int32_t is_64_bit;
    const void *indices;
    char *out;
    const char *x;
} gather_job;

/// Rows lie far apart: they are asked for so many rows before.
#define AHEAD 16

static void gather_rows(void *context, int64_t begin, int64_t end) {
    const gather_job *j = context;
    for (int64_t item = begin; item < end;) {
        const int64_t o = item / j->count, first = o * j->count, stop = end < first + j->count ? end : first + j->count;
        const char *x = j->x + o * j->n * j->row;
        for (; item < stop; item++) {
            if (item + AHEAD < stop) __builtin_prefetch(x + wrapped(index_at(j->indices, j->is_64_bit, item + AHEAD - first), j->n) * j->row);
            const char *from = x + wrapped(index_at(j->indices, j->is_64_bit, item - first), j->n) * j->row;
            char *to = j->out + item * j->row;
            // Single elements are moved without a call.
            if (j->row == 4) memcpy(to, from, 4);
            else if (j->row == 8) memcpy(to, from, 8);
            else memcpy(to, from, (size_t)j->row);
        }
    }
}

void keel_gather(int64_t outer, int64_t n, int64_t row_bytes, int32_t is_64_bit, int64_t count, const void *indices, void *out, const void *x) {
    gather_job j = {n, row_bytes, count, is_64_bit, indices, out, x};
    keel_parallel(outer * count, 65536 / (row_bytes + 1) + 1, gather_rows, &j);
}

// A part owns a range of the n destination rows and looks at every index: no two parts write to one row, and the order of
// additions doesn't depend on the number of parts.
#define SCATTER(type, name)                                                                                            \
    typedef struct {                                                                                                   \
        int64_t outer, n, inner, count;                                                                                \
        int32_t is_64_bit;                                                                                             \
        const void *indices;                                                                                           \
        type *out;                                                                                                     \
        const type *x;                                                                                                 \
    } name##_job;                                                                                                      \
    KEEL_CLONES static void name##_row(int64_t n, type *restrict out, const type *restrict x) {                        \
        for (int64_t i = 0; i < n; i++) out[i] += x[i];                                                                \
    }                                                                                                                  \
    static void name##_part(void *context, int64_t begin, int64_t end) {                                               \
        const name##_job *j = context;                                                                                 \
        for (int64_t o = 0; o < j->outer; o++) {                                                                       \
            memset(j->out + (o * j->n + begin) * j->inner, 0, (size_t)((end - begin) * j->inner) * sizeof(type));      \
            for (int64_t i = 0; i < j->count; i++) {                                                                   \
                const int64_t index = wrapped(index_at(j->indices, j->is_64_bit, i), j->n);                            \
                if (index < begin || index >= end) continue;                                                           \
                name##_row(j->inner, j->out + (o * j->n + index) * j->inner, j->x + (o * j->count + i) * j->inner);    \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    void name(int64_t outer, int64_t n, int64_t inner, int32_t is_64_bit, int64_t count, const void *indices,          \
              type *out, const type *x) {                                                                              \
        name##_job j = {outer, n, inner, count, is_64_bit, indices, out, x};                                           \
        keel_parallel(n, 32768 / (outer * inner + 1) + 1, name##_part, &j);                                            \
    }
SCATTER(float, keel_scatter_add_f32)
SCATTER(double, keel_scatter_add_f64)

void keel_one_hot(int32_t width, int32_t is_64_bit, int64_t count, int64_t depth, const void *indices, void *out) {
    memset(out, 0, (size_t)(count * depth * width));
    for (int64_t i = 0; i < count; i++) {
        const int64_t index = wrapped(index_at(indices, is_64_bit, i), depth);
        if (index < 0 || index >= depth) continue;
        const int64_t at = i * depth + index;
        if (width == 4) ((float *)out)[at] = 1;
        else if (width == 8) ((double *)out)[at] = 1;
        else ((uint8_t *)out)[at] = 1;
    }
}
