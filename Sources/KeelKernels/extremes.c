#include "include/extremes.h"
#include "include/parallel.h"
#include "simd.h"

/// Whether `new` takes the place of `old`.
#define WINS(new, old) ((new) != (new) || ((old) == (old) && (largest ? (new) >= (old) : (new) <= (old))))

#define EACH_TYPE(RUN)                                                                                                 \
    switch (dtype) {                                                                                                   \
    case KEEL_FLOAT32: RUN(float) break;                                                                               \
    case KEEL_FLOAT64: RUN(double) break;                                                                              \
    case KEEL_INT32: RUN(int32_t) break;                                                                               \
    case KEEL_INT64: RUN(int64_t) break;                                                                               \
    case KEEL_UINT8: RUN(uint8_t) break;                                                                               \
    case KEEL_BOOL: break;                                                                                             \
    }

void keel_reference_cumulative_extreme(int32_t largest, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, void *y, int64_t *place, const void *x) {
#define RUN(type)                                                                                                      \
    for (int64_t o = 0; o < outer; o++)                                                                                \
        for (int64_t j = 0; j < inner; j++)                                                                            \
            for (int64_t i = 0, best = 0; i < n; i++) {                                                                \
                const type *column = (const type *)x + o * n * inner + j;                                              \
                if (WINS(column[i * inner], column[best * inner])) best = i;                                           \
                ((type *)y)[(o * n + i) * inner + j] = column[best * inner];                                           \
                place[(o * n + i) * inner + j] = best;                                                                 \
            }
    EACH_TYPE(RUN)
#undef RUN
}

typedef struct {
    int32_t largest;
    keel_dtype dtype;
    int64_t n, inner;
    void *y;
    int64_t *place;
    const void *x;
} extreme_job;

/// Row by row: the columns of a matrix go on side by side.
static void matrices(void *context, int64_t begin, int64_t end) {
    const extreme_job *j = context;
    const int32_t largest = j->largest;
    const keel_dtype dtype = j->dtype;
    const int64_t n = j->n, inner = j->inner;
#define RUN(type)                                                                                                      \
    for (int64_t o = begin; o < end; o++) {                                                                            \
        const type *restrict x = (const type *)j->x + o * n * inner;                                                   \
        type *restrict y = (type *)j->y + o * n * inner;                                                               \
        int64_t *restrict place = j->place + o * n * inner;                                                            \
        for (int64_t c = 0; c < inner; c++) {                                                                          \
            y[c] = x[c];                                                                                               \
            place[c] = 0;                                                                                              \
        }                                                                                                              \
        for (int64_t i = 1; i < n; i++)                                                                                \
            for (int64_t c = i * inner; c < (i + 1) * inner; c++) {                                                    \
                const bool wins = WINS(x[c], y[c - inner]);                                                            \
                y[c] = wins ? x[c] : y[c - inner];                                                                     \
                place[c] = wins ? i : place[c - inner];                                                                \
            }                                                                                                          \
    }
    EACH_TYPE(RUN)
#undef RUN
}

void keel_cumulative_extreme(int32_t largest, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, void *y, int64_t *place, const void *x) {
    if (n == 0) return;
    extreme_job j = {largest, dtype, n, inner, y, place, x};
    keel_parallel(outer, 16384 / (n * inner + 1) + 1, matrices, &j);
}
