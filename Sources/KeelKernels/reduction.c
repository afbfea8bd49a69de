#include "include/reduction.h"
#include "include/parallel.h"
#include "simd.h"

#define PLUS(a, b) ((a) + (b))
// Whole numbers wrap around.
#define WRAPPING_PLUS(a, b) (int64_t)((uint64_t)(a) + (uint64_t)(b))

#define REDUCE_REFERENCE(type, sum_type, plus)                                                                         \
    {                                                                                                                  \
        type *y = out;                                                                                                 \
        const type *v = x;                                                                                             \
        for (int64_t o = 0; o < outer; o++)                                                                            \
            for (int64_t i = 0; i < inner; i++) {                                                                      \
                const type *column = v + o * n * inner + i;                                                            \
                if (op == KEEL_SUM || op == KEEL_MEAN) {                                                               \
                    sum_type sum = 0;                                                                                  \
                    for (int64_t k = 0; k < n; k++) sum = plus(sum, (sum_type)column[k * inner]);                      \
                    y[o * inner + i] = (type)(op == KEEL_SUM ? sum : n == 0 ? (sum_type)NAN : sum / (sum_type)n);      \
                } else {                                                                                               \
                    type best = column[0];                                                                             \
                    for (int64_t k = 1; k < n; k++) {                                                                  \
                        const type t = column[k * inner];                                                              \
                        if (t != t || (op == KEEL_MAX ? t > best : t < best)) best = t;                                \
                    }                                                                                                  \
                    y[o * inner + i] = best;                                                                           \
                }                                                                                                      \
            }                                                                                                          \
    }

void keel_reference_reduce(keel_reduction_op op, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *x) {
    switch (dtype) {
    case KEEL_FLOAT32: REDUCE_REFERENCE(float, double, PLUS) break;
    case KEEL_FLOAT64: REDUCE_REFERENCE(double, double, PLUS) break;
    case KEEL_INT32: REDUCE_REFERENCE(int32_t, int64_t, WRAPPING_PLUS) break;
    case KEEL_INT64: REDUCE_REFERENCE(int64_t, int64_t, WRAPPING_PLUS) break;
    case KEEL_UINT8:
    case KEEL_BOOL: REDUCE_REFERENCE(uint8_t, int64_t, WRAPPING_PLUS) break;
    }
}

// Float sums of at most this many numbers, added up in double.
#define SUM_BLOCK 4096

KEEL_CLONES static float sum_block(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

KEEL_CLONES static float square_block(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

static double sum_row(int64_t n, const float *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i += SUM_BLOCK) sum += sum_block(n - i < SUM_BLOCK ? n - i : SUM_BLOCK, x + i);
    return sum;
}

KEEL_CLONES static float max_row(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float best = -INFINITY;
    int32_t nan = 0;
    for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
    for (int64_t i = 0; i < n; i++) nan |= x[i] != x[i];
    return nan ? NAN : best;
}

KEEL_CLONES static float min_row(int64_t n, const float *restrict x) {
    KEEL_REASSOCIATE
    float best = INFINITY;
    int32_t nan = 0;
    for (int64_t i = 0; i < n; i++) best = x[i] < best ? x[i] : best;
    for (int64_t i = 0; i < n; i++) nan |= x[i] != x[i];
    return nan ? NAN : best;
}

typedef struct {
    keel_reduction_op op;
    int64_t outer, n, inner;
    float *out;
    const float *x;
    double *partial;
} reduce_job;

static void reduce_rows(void *context, int64_t begin, int64_t end) {
    const reduce_job *j = context;
    for (int64_t o = begin; o < end; o++) {
        const float *row = j->x + o * j->n;
        switch (j->op) {
        case KEEL_SUM: j->out[o] = (float)sum_row(j->n, row); break;
        case KEEL_MEAN: j->out[o] = (float)(sum_row(j->n, row) / (double)j->n); break;
        case KEEL_MAX: j->out[o] = max_row(j->n, row); break;
        case KEEL_MIN: j->out[o] = min_row(j->n, row); break;
        }
    }
}

// The columns of one outer index from `first`, at most COLUMNS of them: sums of 64 rows in float, those in double.
#define COLUMNS 64

KEEL_CLONES static void reduce_columns(keel_reduction_op op, int64_t n, int64_t inner, int64_t columns, float *restrict out, const float *restrict x) {
    if (op == KEEL_MAX || op == KEEL_MIN) {
        for (int64_t i = 0; i < columns; i++) out[i] = x[i];
        for (int64_t k = 1; k < n; k++) {
            const float *restrict row = x + k * inner;
            if (op == KEEL_MAX) for (int64_t i = 0; i < columns; i++) out[i] = row[i] > out[i] || row[i] != row[i] ? row[i] : out[i];
            else for (int64_t i = 0; i < columns; i++) out[i] = row[i] < out[i] || row[i] != row[i] ? row[i] : out[i];
        }
        return;
    }
    double total[COLUMNS] = {0};
    for (int64_t k0 = 0; k0 < n; k0 += 64) {
        const int64_t k1 = k0 + 64 < n ? k0 + 64 : n;
        float part[COLUMNS] = {0};
        for (int64_t k = k0; k < k1; k++) {
            const float *restrict row = x + k * inner;
            for (int64_t i = 0; i < columns; i++) part[i] += row[i];
        }
        for (int64_t i = 0; i < columns; i++) total[i] += part[i];
    }
    const double scale = op == KEEL_MEAN ? 1.0 / (double)n : 1.0;
    for (int64_t i = 0; i < columns; i++) out[i] = (float)(total[i] * scale);
}

static void reduce_column_blocks(void *context, int64_t begin, int64_t end) {
    const reduce_job *j = context;
    const int64_t blocks = (j->inner + COLUMNS - 1) / COLUMNS;
    for (int64_t item = begin; item < end; item++) {
        const int64_t o = item / blocks, first = item % blocks * COLUMNS;
        const int64_t columns = j->inner - first < COLUMNS ? j->inner - first : COLUMNS;
        reduce_columns(j->op, j->n, j->inner, columns, j->out + o * j->inner + first, j->x + o * j->n * j->inner + first);
    }
}

// One long row is cut into at most this many parts, however many threads there are.
#define PARTS 256

static int64_t part_length(int64_t n) {
    int64_t length = (n + PARTS - 1) / PARTS;
    if (length < 4 * SUM_BLOCK) length = 4 * SUM_BLOCK;
    return length;
}

static void sum_parts(void *context, int64_t begin, int64_t end) {
    const reduce_job *j = context;
    const int64_t length = part_length(j->n);
    for (int64_t part = begin; part < end; part++) {
        const int64_t from = part * length, count = j->n - from < length ? j->n - from : length;
        j->partial[part] = sum_row(count, j->x + from);
    }
}

static void square_parts(void *context, int64_t begin, int64_t end) {
    const reduce_job *j = context;
    const int64_t length = part_length(j->n);
    for (int64_t part = begin; part < end; part++) {
        const int64_t from = part * length, to = from + length < j->n ? from + length : j->n;
        double sum = 0;
        for (int64_t i = from; i < to; i += SUM_BLOCK) sum += square_block(to - i < SUM_BLOCK ? to - i : SUM_BLOCK, j->x + i);
        j->partial[part] = sum;
    }
}

static double in_parts(int64_t n, const float *x, keel_body body) {
    double partial[PARTS];
    reduce_job j = {KEEL_SUM, 1, n, 1, 0, x, partial};
    const int64_t length = part_length(n), parts = (n + length - 1) / length;
    keel_parallel(parts, 2, body, &j);
    double sum = 0;
    for (int64_t i = 0; i < parts; i++) sum += partial[i];
    return sum;
}

void keel_reduce_f32(keel_reduction_op op, int64_t outer, int64_t n, int64_t inner, float *out, const float *x) {
    reduce_job j = {op, outer, n, inner, out, x, 0};
    if (n == 0) {
        for (int64_t i = 0; i < outer * inner; i++) out[i] = op == KEEL_SUM ? 0.0f : NAN;
    } else if (inner == 1 && outer < 4 && (op == KEEL_SUM || op == KEEL_MEAN)) {
        for (int64_t o = 0; o < outer; o++) {
            const double sum = in_parts(n, x + o * n, sum_parts);
            out[o] = (float)(op == KEEL_SUM ? sum : sum / (double)n);
        }
    } else if (inner == 1) {
        keel_parallel(outer, 32768 / n + 1, reduce_rows, &j);
    } else {
        keel_parallel(outer * ((inner + COLUMNS - 1) / COLUMNS), 32768 / (n * COLUMNS) + 1, reduce_column_blocks, &j);
    }
}

double keel_sum_of_squares_f32(int64_t count, const float *x) { return in_parts(count, x, square_parts); }

KEEL_CLONES static int32_t any_not_finite(int64_t n, const float *restrict x) {
    int32_t found = 0;
    for (int64_t i = 0; i < n; i++) found |= !(__builtin_elementwise_abs(x[i]) < INFINITY);
    return found;
}

int64_t keel_first_not_finite_f32(int64_t count, const float *x) {
    for (int64_t i = 0; i < count; i += SUM_BLOCK) {
        const int64_t n = count - i < SUM_BLOCK ? count - i : SUM_BLOCK;
        if (!any_not_finite(n, x + i)) continue;
        for (int64_t k = i; k < i + n; k++) if (!(fabsf(x[k]) < INFINITY)) return k;
    }
    return -1;
}

#define SUM_OF_SQUARES(type, name)                                                                                     \
    double name(int64_t count, const type *x) {                                                                        \
        double sum = 0;                                                                                                \
        for (int64_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];                                        \
        return sum;                                                                                                    \
    }
SUM_OF_SQUARES(float, keel_reference_sum_of_squares_f32)
SUM_OF_SQUARES(double, keel_reference_sum_of_squares_f64)

int64_t keel_first_not_finite_f64(int64_t count, const double *x) {
    for (int64_t i = 0; i < count; i++) if (!(fabs(x[i]) < INFINITY)) return i;
    return -1;
}

void keel_arg_extreme(int32_t largest, keel_dtype dtype, int64_t outer, int64_t n, int64_t inner, int64_t *out, const void *x) {
#define ARG(type)                                                                                                      \
    {                                                                                                                  \
        const type *v = x;                                                                                             \
        for (int64_t o = 0; o < outer; o++)                                                                            \
            for (int64_t i = 0; i < inner; i++) {                                                                      \
                const type *column = v + o * n * inner + i;                                                            \
                int64_t best = 0;                                                                                      \
                for (int64_t k = 1; k < n; k++) {                                                                      \
                    const type t = column[k * inner], b = column[best * inner];                                        \
                    if (b == b && (t != t || (largest ? t > b : t < b))) best = k;                                     \
                }                                                                                                      \
                out[o * inner + i] = best;                                                                             \
            }                                                                                                          \
    }
    switch (dtype) {
    case KEEL_FLOAT32: ARG(float) break;
    case KEEL_FLOAT64: ARG(double) break;
    case KEEL_INT32: ARG(int32_t) break;
    case KEEL_INT64: ARG(int64_t) break;
    case KEEL_UINT8:
    case KEEL_BOOL: ARG(uint8_t) break;
    }
}
