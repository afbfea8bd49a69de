#include "include/chain.h"
#include "include/elementwise.h"
#include "include/parallel.h"
#include "simd.h"

// One expression a function, compiled for each instruction set. x is the input; p0 and p1 are constants.
#define UNARY_CASES                                                                                                    \
    CASE(KEEL_NEGATE, -x)                                                                                              \
    CASE(KEEL_EXP, keel_exp(x))                                                                                        \
    CASE(KEEL_LOG, keel_log(x))                                                                                        \
    CASE(KEEL_SQRT, __builtin_elementwise_sqrt(x))                                                                     \
    CASE(KEEL_ABS, __builtin_elementwise_abs(x))                                                                       \
    CASE(KEEL_SIGN, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x)                                                            \
    CASE(KEEL_RECIPROCAL, 1.0f / x)                                                                                    \
    CASE(KEEL_ERF, keel_erf(x))                                                                                        \
    CASE(KEEL_TANH, keel_tanh(x))                                                                                      \
    CASE(KEEL_SIGMOID, keel_sigmoid(x))                                                                                \
    CASE(KEEL_SILU, x == -INFINITY ? 0.0f : x * keel_sigmoid(x))                                                       \
    CASE(KEEL_GELU, x == -INFINITY ? 0.0f : 0.5f * x * (1.0f + keel_erf(x * KEEL_INV_SQRT2)))                          \
    CASE(KEEL_GELU_TANH, x == -INFINITY ? 0.0f : x * keel_sigmoid(KEEL_2_SQRT_2_PI * (x + 0.044715f * x * x * x)))        \
    CASE(KEEL_RELU, x < 0.0f ? 0.0f : x)                                                                               \
    CASE(KEEL_LEAKY_RELU, x < 0.0f ? p0 * x : x)                                                                       \
    CASE(KEEL_CLIP, x < p0 ? p0 : x > p1 ? p1 : x)                                                                     \
    CASE(KEEL_SCALE, p0 * x + p1)                                                                                      \
    CASE(KEEL_EXPM1, expm1_fast(x))                                                                                    \
    CASE(KEEL_LOG1P, log1p_fast(x))                                                                                    \
    CASE(KEEL_SIN, sinf(x))                                                                                            \
    CASE(KEEL_COS, cosf(x))                                                                                            \
    CASE(KEEL_SINH, sinh_fast(x))                                                                                      \
    CASE(KEEL_COSH, cosh_fast(x))                                                                                      \
    CASE(KEEL_FLOOR, __builtin_elementwise_floor(x))                                                                   \
    CASE(KEEL_CEIL, __builtin_elementwise_ceil(x))                                                                     \
    CASE(KEEL_ROUND, __builtin_elementwise_rint(x))                                                                    \
    CASE(KEEL_TRUNCATE, __builtin_elementwise_trunc(x))

// 2 √(2/π)
#define KEEL_2_SQRT_2_PI 1.59576912160573f

#define BINARY_CASES                                                                                                   \
    CASE(KEEL_ADD, x + y)                                                                                              \
    CASE(KEEL_SUBTRACT, x - y)                                                                                         \
    CASE(KEEL_MULTIPLY, x * y)                                                                                         \
    CASE(KEEL_DIVIDE, x / y)                                                                                           \
    CASE(KEEL_POWER, powf(x, y))                                                                                       \
    CASE(KEEL_MAXIMUM, x != x || x > y ? x : y)                                                                        \
    CASE(KEEL_MINIMUM, x != x || x < y ? x : y)                                                                        \
    CASE(KEEL_TANH_GRADIENT, x * (1.0f - y * y))                                                                       \
    CASE(KEEL_SIGMOID_GRADIENT, x * (y * (1.0f - y)))                                                                  \
    CASE(KEEL_SILU_GRADIENT, x * silu_slope(y))                                                                        \
    CASE(KEEL_GELU_GRADIENT, x * gelu_slope(y))                                                                        \
    CASE(KEEL_RELU_GRADIENT, y > 0.0f ? x : 0.0f)                                                                      \
    CASE(KEEL_LEAKY_RELU_GRADIENT, y < 0.0f ? p0 * x : x)                                                              \
    CASE(KEEL_CLIP_GRADIENT, y > p0 && y < p1 ? x : 0.0f)                                                              \
    CASE(KEEL_LOGISTIC_LOSS, (x > 0.0f ? x : 0.0f) - x * y + keel_log1p_exp_negative(__builtin_elementwise_abs(x)))    \
    CASE(KEEL_ARCTANGENT2, atan2f(x, y))                                                                               \
    CASE(KEEL_REMAINDER, remainder_of(x, y))

KEEL_INLINE float silu_slope(float x) {
    const float s = keel_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

KEEL_INLINE float gelu_slope(float x) {
    const float cdf = 0.5f * (1.0f + keel_erf(x * KEEL_INV_SQRT2));
    return cdf + x * (KEEL_INV_SQRT_2PI * keel_exp(-0.5f * x * x));
}

// e^x - 1 and ln(1 + x) keep their digits near 0: what rounding took from e^x, or from 1 + x, is made good by a quotient (after Kahan).
KEEL_INLINE float expm1_fast(float x) {
    const float e = keel_exp(x), near = (e - 1.0f) * x / keel_log(e);
    return e == 1.0f ? x : x < -20.0f ? -1.0f : x > 20.0f ? e : near;
}

KEEL_INLINE float log1p_fast(float x) {
    const float u = 1.0f + x;
    return u == 1.0f ? x : x > 1e7f ? keel_log(x) : keel_log(u) * (x / (u - 1.0f));
}

// From half the exponent where e^x itself might overflow.
KEEL_INLINE float sinh_fast(float x) {
    const float magnitude = __builtin_elementwise_abs(x), t = expm1_fast(magnitude), half = keel_exp(0.5f * magnitude);
    return __builtin_copysignf(magnitude > 20.0f ? 0.5f * half * half : 0.5f * (t + t / (t + 1.0f)), x) + (x != x ? x : 0.0f);
}

KEEL_INLINE float cosh_fast(float x) {
    const float half = keel_exp(0.5f * __builtin_elementwise_abs(x)), e = half * half;
    return half > 1e5f ? 0.5f * half * half : 0.5f * (e + 1.0f / e);
}

KEEL_INLINE float remainder_of(float x, float y) {
    const float rest = fmodf(x, y);
    return rest != 0.0f && (rest < 0.0f) != (y < 0.0f) ? rest + y : rest;
}

// A row may be written over what it is made of, number on number; so nothing is `restrict`, and the loops say that their rounds are independent.
// Functions without a vector form stay as they are, which is no failure.
#pragma clang diagnostic ignored "-Wpass-failed"
#define EACH(i, n) _Pragma("clang loop vectorize(assume_safety)") for (int64_t i = 0; i < (n); i++)

KEEL_CLONES static void unary_row(keel_unary_op op, int64_t n, float *out, const float *in, float p0, float p1) {
    switch (op) {
#define CASE(name, expression)                                                                                         \
    case name:                                                                                                         \
        EACH(i, n) {                                                                                                   \
            const float x = in[i];                                                                                     \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
        break;
        UNARY_CASES
#undef CASE
    }
}

static void unary_row_strided(keel_unary_op op, int64_t n, float *out, const float *in, int64_t stride, float p0, float p1) {
    // Gathered in pieces that stay in the first-level cache, so that the arithmetic is the vectorised one here too.
    float piece[256];
    for (int64_t begin = 0; begin < n; begin += 256) {
        const int64_t count = n - begin < 256 ? n - begin : 256;
        for (int64_t i = 0; i < count; i++) piece[i] = in[(begin + i) * stride];
        unary_row(op, count, out + begin, piece, p0, p1);
    }
}

KEEL_CLONES static void binary_row_vv(keel_binary_op op, int64_t n, float *out, const float *a, const float *b, float p0, float p1) {
    switch (op) {
#define CASE(name, expression)                                                                                         \
    case name:                                                                                                         \
        EACH(i, n) {                                                                                                   \
            const float x = a[i], y = b[i];                                                                            \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
        break;
        BINARY_CASES
#undef CASE
    }
}

KEEL_CLONES static void binary_row_vs(keel_binary_op op, int64_t n, float *out, const float *a, const float *b, float p0, float p1) {
    const float y = *b;
    switch (op) {
    case KEEL_POWER:
        // The exponents that networks use are exact without a logarithm.
        if (y == 2.0f) {
            EACH(i, n) out[i] = a[i] * a[i];
        } else if (y == 1.0f) {
            EACH(i, n) out[i] = a[i];
        } else if (y == 3.0f) {
            EACH(i, n) out[i] = a[i] * a[i] * a[i];
        } else {
            EACH(i, n) out[i] = powf(a[i], y);
        }
        break;
#define CASE(name, expression)                                                                                         \
    case name:                                                                                                         \
        EACH(i, n) {                                                                                                   \
            const float x = a[i];                                                                                      \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
        break;
    CASE(KEEL_ADD, x + y)
    CASE(KEEL_SUBTRACT, x - y)
    CASE(KEEL_MULTIPLY, x * y)
    CASE(KEEL_DIVIDE, x / y)
    CASE(KEEL_MAXIMUM, x != x || x > y ? x : y)
    CASE(KEEL_MINIMUM, x != x || x < y ? x : y)
    CASE(KEEL_TANH_GRADIENT, x * (1.0f - y * y))
    CASE(KEEL_SIGMOID_GRADIENT, x * (y * (1.0f - y)))
    CASE(KEEL_SILU_GRADIENT, x * silu_slope(y))
    CASE(KEEL_GELU_GRADIENT, x * gelu_slope(y))
    CASE(KEEL_RELU_GRADIENT, y > 0.0f ? x : 0.0f)
    CASE(KEEL_LEAKY_RELU_GRADIENT, y < 0.0f ? p0 * x : x)
    CASE(KEEL_CLIP_GRADIENT, y > p0 && y < p1 ? x : 0.0f)
    CASE(KEEL_LOGISTIC_LOSS, (x > 0.0f ? x : 0.0f) - x * y + keel_log1p_exp_negative(__builtin_elementwise_abs(x)))
    CASE(KEEL_ARCTANGENT2, atan2f(x, y))
    CASE(KEEL_REMAINDER, remainder_of(x, y))
#undef CASE
    }
}

KEEL_CLONES static void binary_row_sv(keel_binary_op op, int64_t n, float *out, const float *a, const float *b, float p0, float p1) {
    const float x = *a;
    switch (op) {
#define CASE(name, expression)                                                                                         \
    case name:                                                                                                         \
        EACH(i, n) {                                                                                                   \
            const float y = b[i];                                                                                      \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
        break;
        BINARY_CASES
#undef CASE
    }
}

static void binary_row(keel_binary_op op, int64_t n, float *out, const float *a, int64_t sa, const float *b, int64_t sb, float p0, float p1) {
    if (sa == 1 && sb == 1) return binary_row_vv(op, n, out, a, b, p0, p1);
    if (sa == 1 && sb == 0) return binary_row_vs(op, n, out, a, b, p0, p1);
    if (sa == 0 && sb == 1) return binary_row_sv(op, n, out, a, b, p0, p1);
    float left[256], right[256];
    for (int64_t begin = 0; begin < n; begin += 256) {
        const int64_t count = n - begin < 256 ? n - begin : 256;
        for (int64_t i = 0; i < count; i++) left[i] = a[(begin + i) * sa];
        for (int64_t i = 0; i < count; i++) right[i] = b[(begin + i) * sb];
        binary_row_vv(op, count, out + begin, left, right, p0, p1);
    }
}

// A team is worth waking for about this many elements of the cheapest function.
#define ELEMENTS_A_PART 32768

typedef struct {
    const keel_walk *walk;
    int32_t op;
    float *out;
    const float *a, *b;
    float p0, p1;
} job;

static void unary_flat(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t stride = j->walk->strides[1][0];
    if (stride == 1) unary_row(j->op, end - begin, j->out + begin, j->a + begin, j->p0, j->p1);
    else unary_row_strided(j->op, end - begin, j->out + begin, j->a + begin * stride, stride, j->p0, j->p1);
}

static void unary_rows(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const keel_walk *w = j->walk;
    const int64_t n = w->shape[w->rank - 1], stride = w->strides[1][w->rank - 1];
    int64_t offsets[KEEL_MAX_OPERANDS];
    for (int64_t row = begin; row < end; row++) {
        keel_walk_row(w, row, offsets);
        if (stride == 1) unary_row(j->op, n, j->out + offsets[0], j->a + offsets[1], j->p0, j->p1);
        else unary_row_strided(j->op, n, j->out + offsets[0], j->a + offsets[1], stride, j->p0, j->p1);
    }
}

static int64_t rows_a_part(const keel_walk *w) {
    const int64_t n = w->shape[w->rank - 1];
    return n >= ELEMENTS_A_PART ? 1 : ELEMENTS_A_PART / (n > 0 ? n : 1) + 1;
}

void keel_unary_f32(keel_unary_op op, const keel_walk *w, float *y, const float *x, float p0, float p1) {
    job j = {w, op, y, x, 0, p0, p1};
    if (w->rank == 1) keel_parallel(w->shape[0], ELEMENTS_A_PART, unary_flat, &j);
    else keel_parallel(keel_walk_rows(w), rows_a_part(w), unary_rows, &j);
}

static void binary_flat(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t sa = j->walk->strides[1][0], sb = j->walk->strides[2][0];
    binary_row(j->op, end - begin, j->out + begin, j->a + begin * sa, sa, j->b + begin * sb, sb, j->p0, j->p1);
}

static void binary_rows(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const keel_walk *w = j->walk;
    const int32_t inner = w->rank - 1;
    int64_t offsets[KEEL_MAX_OPERANDS];
    for (int64_t row = begin; row < end; row++) {
        keel_walk_row(w, row, offsets);
        binary_row(j->op, w->shape[inner], j->out + offsets[0], j->a + offsets[1], w->strides[1][inner], j->b + offsets[2],
                   w->strides[2][inner], j->p0, j->p1);
    }
}

void keel_binary_f32(keel_binary_op op, const keel_walk *w, float *z, const float *x, const float *y, float p0, float p1) {
    job j = {w, op, z, x, y, p0, p1};
    if (w->rank == 1) keel_parallel(w->shape[0], ELEMENTS_A_PART, binary_flat, &j);
    else keel_parallel(keel_walk_rows(w), rows_a_part(w), binary_rows, &j);
}

void keel_unary_row_f32(keel_unary_op op, int64_t count, float *x, float p0, float p1) { unary_row(op, count, x, x, p0, p1); }

static void unary_run(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    unary_row(j->op, end - begin, j->out + begin, j->a + begin, j->p0, j->p1);
}

void keel_unary_run_f32(keel_unary_op op, int64_t count, float *y, const float *x, float p0, float p1) {
    if (count < 2 * ELEMENTS_A_PART) {
        unary_row(op, count, y, x, p0, p1);
        return;
    }
    job j = {0, op, y, x, 0, p0, p1};
    keel_parallel(count, ELEMENTS_A_PART, unary_run, &j);
}

static void binary_run(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    binary_row_vv(j->op, end - begin, j->out + begin, j->a + begin, j->b + begin, j->p0, j->p1);
}

void keel_binary_run_f32(keel_binary_op op, int64_t count, float *z, const float *x, const float *y, float p0, float p1) {
    if (count < 2 * ELEMENTS_A_PART) {
        binary_row_vv(op, count, z, x, y, p0, p1);
        return;
    }
    job j = {0, op, z, x, y, p0, p1};
    keel_parallel(count, ELEMENTS_A_PART, binary_run, &j);
}

KEEL_CLONES static void accumulate(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    float *restrict sum = j->out;
    const float *restrict x = j->a;
    for (int64_t i = begin; i < end; i++) sum[i] += x[i];
}

void keel_accumulate_f32(int64_t count, float *sum, const float *x) {
    job j = {0, 0, sum, x, 0, 0, 0};
    keel_parallel(count, ELEMENTS_A_PART, accumulate, &j);
}

// Numbers of a chain at a time: the results of all its links fit the first-level cache.
#define CHAINED 256

typedef struct {
    const keel_chain *chain;
    const keel_walk *walk;
    float *out;
} chain_job;

static void chain_piece(const keel_chain *c, int64_t n, float *out, const float *const *inputs, const int64_t *strides) {
    float results[KEEL_MAX_LINKS][CHAINED];
    for (int32_t i = 0; i < c->count; i++) {
        const keel_link *l = c->links + i;
        float *to = i + 1 == c->count ? out : results[i];
        const bool is_own = l->a >= c->inputs, is_other = l->b >= c->inputs;
        const float *a = is_own ? results[l->a - c->inputs] : inputs[l->a], *b = is_other ? results[l->b - c->inputs] : inputs[l->b];
        const int64_t sa = is_own ? 1 : strides[l->a], sb = is_other ? 1 : strides[l->b];
        if (l->is_binary) binary_row(l->op, n, to, a, sa, b, sb, l->p0, l->p1);
        else if (sa == 1) unary_row(l->op, n, to, a, l->p0, l->p1);
        else unary_row_strided(l->op, n, to, a, sa, l->p0, l->p1);
    }
}

static void chain_row(const keel_chain *c, int64_t n, float *out, const float *const *inputs, const int64_t *strides) {
    const float *at[KEEL_MAX_OPERANDS - 1];
    for (int64_t begin = 0; begin < n; begin += CHAINED) {
        for (int32_t i = 0; i < c->inputs; i++) at[i] = inputs[i] + begin * strides[i];
        chain_piece(c, n - begin < CHAINED ? n - begin : CHAINED, out + begin, at, strides);
    }
}

static void chain_flat(void *context, int64_t begin, int64_t end) {
    const chain_job *j = context;
    const float *at[KEEL_MAX_OPERANDS - 1];
    int64_t strides[KEEL_MAX_OPERANDS - 1];
    for (int32_t i = 0; i < j->chain->inputs; i++) {
        strides[i] = j->walk->strides[i + 1][0];
        at[i] = j->chain->input[i] + begin * strides[i];
    }
    chain_row(j->chain, end - begin, j->out + begin, at, strides);
}

static void chain_rows(void *context, int64_t begin, int64_t end) {
    const chain_job *j = context;
    const keel_walk *w = j->walk;
    const int32_t inner = w->rank - 1;
    const float *at[KEEL_MAX_OPERANDS - 1];
    int64_t offsets[KEEL_MAX_OPERANDS], strides[KEEL_MAX_OPERANDS - 1];
    for (int32_t i = 0; i < j->chain->inputs; i++) strides[i] = w->strides[i + 1][inner];
    for (int64_t row = begin; row < end; row++) {
        keel_walk_row(w, row, offsets);
        for (int32_t i = 0; i < j->chain->inputs; i++) at[i] = j->chain->input[i] + offsets[i + 1];
        chain_row(j->chain, w->shape[inner], j->out + offsets[0], at, strides);
    }
}

void keel_chain_f32(const keel_chain *chain, const keel_walk *w, float *y) {
    chain_job j = {chain, w, y};
    const int64_t part = ELEMENTS_A_PART / chain->count + 1;
    if (w->rank == 1) keel_parallel(w->shape[0], part, chain_flat, &j);
    else keel_parallel(keel_walk_rows(w), w->shape[w->rank - 1] >= part ? 1 : part / (w->shape[w->rank - 1] + 1) + 1, chain_rows, &j);
}
