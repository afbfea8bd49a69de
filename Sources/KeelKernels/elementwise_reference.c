#include "include/elementwise.h"
#include "simd.h"

// Every operand of every element, found by its own strides: slow, and hard to get wrong.
#define FOR_EACH_ELEMENT(...)                                                                                          \
    {                                                                                                                  \
        const int32_t inner = w->rank - 1;                                                                             \
        const int64_t rows = keel_walk_rows(w), n = w->shape[inner];                                                   \
        int64_t offsets[KEEL_MAX_OPERANDS];                                                                            \
        for (int64_t row = 0; row < rows; row++) {                                                                     \
            keel_walk_row(w, row, offsets);                                                                            \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const int64_t o0 = offsets[0] + i * w->strides[0][inner], o1 = offsets[1] + i * w->strides[1][inner];  \
                __VA_ARGS__                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
#define SECOND (offsets[2] + i * w->strides[2][inner])
#define THIRD (offsets[3] + i * w->strides[3][inner])

static double unary(keel_unary_op op, double x, double p0, double p1) {
    switch (op) {
    case KEEL_NEGATE: return -x;
    case KEEL_EXP: return exp(x);
    case KEEL_LOG: return log(x);
    case KEEL_SQRT: return sqrt(x);
    case KEEL_ABS: return fabs(x);
    case KEEL_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
    case KEEL_RECIPROCAL: return 1 / x;
    case KEEL_ERF: return erf(x);
    case KEEL_TANH: return tanh(x);
    case KEEL_SIGMOID: return 1 / (1 + exp(-x));
    case KEEL_SILU: return x == -INFINITY ? 0 : x / (1 + exp(-x));
    case KEEL_GELU: return x == -INFINITY ? 0 : 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case KEEL_GELU_TANH: return x == -INFINITY ? 0 : 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case KEEL_RELU: return x < 0 ? 0 : x;
    case KEEL_LEAKY_RELU: return x < 0 ? p0 * x : x;
    case KEEL_CLIP: return x < p0 ? p0 : x > p1 ? p1 : x;
    case KEEL_SCALE: return p0 * x + p1;
    case KEEL_EXPM1: return expm1(x);
    case KEEL_LOG1P: return log1p(x);
    case KEEL_SIN: return sin(x);
    case KEEL_COS: return cos(x);
    case KEEL_SINH: return sinh(x);
    case KEEL_COSH: return cosh(x);
    case KEEL_FLOOR: return floor(x);
    case KEEL_CEIL: return ceil(x);
    case KEEL_ROUND: return rint(x);
    case KEEL_TRUNCATE: return trunc(x);
    }
}

static double binary(keel_binary_op op, double x, double y, double p0, double p1) {
    switch (op) {
    case KEEL_ADD: return x + y;
    case KEEL_SUBTRACT: return x - y;
    case KEEL_MULTIPLY: return x * y;
    case KEEL_DIVIDE: return x / y;
    case KEEL_POWER: return pow(x, y);
    case KEEL_MAXIMUM: return x != x || x > y ? x : y;
    case KEEL_MINIMUM: return x != x || x < y ? x : y;
    case KEEL_TANH_GRADIENT: return x * (1 - y * y);
    case KEEL_SIGMOID_GRADIENT: return x * y * (1 - y);
    case KEEL_SILU_GRADIENT: {
        const double s = 1 / (1 + exp(-y));
        return x * s * (1 + y * (1 - s));
    }
    case KEEL_GELU_GRADIENT: return x * (0.5 * (1 + erf(y * M_SQRT1_2)) + y * exp(-0.5 * y * y) / sqrt(2 * M_PI));
    case KEEL_RELU_GRADIENT: return y > 0 ? x : 0;
    case KEEL_LEAKY_RELU_GRADIENT: return y < 0 ? p0 * x : x;
    case KEEL_CLIP_GRADIENT: return y > p0 && y < p1 ? x : 0;
    case KEEL_LOGISTIC_LOSS: return (x > 0 ? x : 0) - x * y + log1p(exp(-fabs(x)));
    case KEEL_ARCTANGENT2: return atan2(x, y);
    case KEEL_REMAINDER: {
        const double rest = fmod(x, y);
        return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
    }
    }
}

// Integers wrap on overflow, as two's complement does; dividing by zero gives 0, never a signal.
static int64_t unary_integer(keel_unary_op op, int64_t x, double p0, double p1) {
    switch (op) {
    case KEEL_NEGATE: return (int64_t)(0 - (uint64_t)x);
    case KEEL_ABS: return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case KEEL_SIGN: return (x > 0) - (x < 0);
    case KEEL_RELU: return x < 0 ? 0 : x;
    case KEEL_CLIP: return x < p0 ? (int64_t)p0 : x > p1 ? (int64_t)p1 : x;
    default: return 0;
    }
}

static int64_t binary_integer(keel_binary_op op, int64_t x, int64_t y) {
    switch (op) {
    case KEEL_ADD: return (int64_t)((uint64_t)x + (uint64_t)y);
    case KEEL_SUBTRACT: return (int64_t)((uint64_t)x - (uint64_t)y);
    case KEEL_MULTIPLY: return (int64_t)((uint64_t)x * (uint64_t)y);
    case KEEL_DIVIDE: return y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
    case KEEL_MAXIMUM: return x > y ? x : y;
    case KEEL_MINIMUM: return x < y ? x : y;
    case KEEL_REMAINDER: {
        const int64_t rest = y == 0 || y == -1 ? 0 : x % y;
        return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
    }
    default: return 0;
    }
}

void keel_reference_unary(keel_unary_op op, keel_dtype dtype, const keel_walk *w, void *out, const void *in, double p0, double p1) {
#define UNARY(type, function)                                                                                          \
    {                                                                                                                  \
        type *y = out;                                                                                                 \
        const type *x = in;                                                                                            \
        FOR_EACH_ELEMENT(y[o0] = (type)function(op, x[o1], p0, p1);)                                                   \
    }
    switch (dtype) {
    case KEEL_FLOAT32: UNARY(float, unary) break;
    case KEEL_FLOAT64: UNARY(double, unary) break;
    case KEEL_INT32: UNARY(int32_t, unary_integer) break;
    case KEEL_INT64: UNARY(int64_t, unary_integer) break;
    case KEEL_UINT8: UNARY(uint8_t, unary_integer) break;
    case KEEL_BOOL: break;
    }
}

void keel_reference_binary(keel_binary_op op, keel_dtype dtype, const keel_walk *w, void *out, const void *left, const void *right, double p0, double p1) {
#define BINARY(type, call)                                                                                             \
    {                                                                                                                  \
        type *z = out;                                                                                                 \
        const type *a = left, *b = right;                                                                              \
        FOR_EACH_ELEMENT(const type x = a[o1], y = b[SECOND]; z[o0] = (type)call;)                                     \
    }
    switch (dtype) {
    case KEEL_FLOAT32: BINARY(float, binary(op, x, y, p0, p1)) break;
    case KEEL_FLOAT64: BINARY(double, binary(op, x, y, p0, p1)) break;
    case KEEL_INT32: BINARY(int32_t, binary_integer(op, x, y)) break;
    case KEEL_INT64: BINARY(int64_t, binary_integer(op, x, y)) break;
    case KEEL_UINT8: BINARY(uint8_t, binary_integer(op, x, y)) break;
    case KEEL_BOOL: break;
    }
}

void keel_reference_compare(keel_comparison_op op, keel_dtype dtype, const keel_walk *w, uint8_t *z, const void *left, const void *right) {
#define COMPARE(type, expression) FOR_EACH_ELEMENT(const type x = a[o1], y = b[SECOND]; z[o0] = (expression);)
#define COMPARE_ALL(type)                                                                                              \
    {                                                                                                                  \
        const type *a = left, *b = right;                                                                              \
        switch (op) {                                                                                                  \
        case KEEL_EQUAL: COMPARE(type, x == y) break;                                                                  \
        case KEEL_LESS: COMPARE(type, x < y) break;                                                                    \
        case KEEL_LESS_OR_EQUAL: COMPARE(type, x <= y) break;                                                          \
        case KEEL_GREATER: COMPARE(type, x > y) break;                                                                 \
        case KEEL_GREATER_OR_EQUAL: COMPARE(type, x >= y) break;                                                       \
        case KEEL_AND: COMPARE(type, x != 0 && y != 0) break;                                                          \
        case KEEL_OR: COMPARE(type, x != 0 || y != 0) break;                                                           \
        case KEEL_XOR: COMPARE(type, (x != 0) != (y != 0)) break;                                                      \
        }                                                                                                              \
    }
    switch (dtype) {
    case KEEL_FLOAT32: COMPARE_ALL(float) break;
    case KEEL_FLOAT64: COMPARE_ALL(double) break;
    case KEEL_INT32: COMPARE_ALL(int32_t) break;
    case KEEL_INT64: COMPARE_ALL(int64_t) break;
    case KEEL_UINT8:
    case KEEL_BOOL: COMPARE_ALL(uint8_t) break;
    }
}

void keel_reference_select(int32_t width, const keel_walk *w, void *out, const uint8_t *condition, const void *left, const void *right) {
#define SELECT(type)                                                                                                   \
    {                                                                                                                  \
        type *z = out;                                                                                                 \
        const type *x = left, *y = right;                                                                              \
        FOR_EACH_ELEMENT(z[o0] = condition[o1] ? x[SECOND] : y[THIRD];)                                                \
    }
    switch (width) {
    case 1: SELECT(uint8_t) break;
    case 2: SELECT(uint16_t) break;
    case 4: SELECT(uint32_t) break;
    default: SELECT(uint64_t) break;
    }
}

KEEL_INLINE int64_t truncated(double x, double least, double most) {
    return x != x ? 0 : x <= least ? (int64_t)least : x >= most ? (most >= 9.2e18 ? INT64_MAX : (int64_t)most) : (int64_t)x;
}

void keel_cast(keel_dtype to, keel_dtype from, int64_t count, void *out, const void *in) {
#define TO(type, expression)                                                                                           \
    {                                                                                                                  \
        type *y = out;                                                                                                 \
        for (int64_t i = 0; i < count; i++) y[i] = (expression);                                                       \
    }
#define FROM_FLOAT(type)                                                                                               \
    {                                                                                                                  \
        const type *x = in;                                                                                            \
        switch (to) {                                                                                                  \
        case KEEL_FLOAT32: TO(float, (float)x[i]) break;                                                               \
        case KEEL_FLOAT64: TO(double, (double)x[i]) break;                                                             \
        case KEEL_INT32: TO(int32_t, (int32_t)truncated(x[i], INT32_MIN, INT32_MAX)) break;                            \
        case KEEL_INT64: TO(int64_t, truncated(x[i], -9223372036854775808.0, 9223372036854775808.0)) break;            \
        case KEEL_UINT8: TO(uint8_t, (uint8_t)truncated(x[i], 0, UINT8_MAX)) break;                                    \
        case KEEL_BOOL: TO(uint8_t, x[i] != 0) break;                                                                  \
        }                                                                                                              \
    }
#define FROM_INTEGER(type)                                                                                             \
    {                                                                                                                  \
        const type *x = in;                                                                                            \
        switch (to) {                                                                                                  \
        case KEEL_FLOAT32: TO(float, (float)x[i]) break;                                                               \
        case KEEL_FLOAT64: TO(double, (double)x[i]) break;                                                             \
        case KEEL_INT32: TO(int32_t, (int32_t)x[i]) break;                                                             \
        case KEEL_INT64: TO(int64_t, (int64_t)x[i]) break;                                                             \
        case KEEL_UINT8: TO(uint8_t, (uint8_t)x[i]) break;                                                             \
        case KEEL_BOOL: TO(uint8_t, x[i] != 0) break;                                                                  \
        }                                                                                                              \
    }
    switch (from) {
    case KEEL_FLOAT32: FROM_FLOAT(float) break;
    case KEEL_FLOAT64: FROM_FLOAT(double) break;
    case KEEL_INT32: FROM_INTEGER(int32_t) break;
    case KEEL_INT64: FROM_INTEGER(int64_t) break;
    case KEEL_UINT8:
    case KEEL_BOOL: FROM_INTEGER(uint8_t) break;
    }
}
