#ifndef KEEL_ELEMENTWISE_H
#define KEEL_ELEMENTWISE_H

#include "walk.h"

/// Functions of one number. `p0` and `p1` are a function's constants.
typedef enum : int32_t {
    KEEL_NEGATE, KEEL_EXP, KEEL_LOG, KEEL_SQRT, KEEL_ABS, KEEL_SIGN, KEEL_RECIPROCAL, KEEL_ERF, KEEL_TANH, KEEL_SIGMOID,
    KEEL_SILU, KEEL_GELU, KEEL_GELU_TANH, KEEL_RELU,
    KEEL_LEAKY_RELU,  // p0: slope below zero
    KEEL_CLIP,        // p0: least, p1: most
    KEEL_SCALE,       // p0 * x + p1
    KEEL_EXPM1, KEEL_LOG1P, KEEL_SIN, KEEL_COS, KEEL_SINH, KEEL_COSH, KEEL_FLOOR, KEEL_CEIL, KEEL_ROUND, KEEL_TRUNCATE,
} keel_unary_op;

/// Functions of two numbers; the gradients take the output's gradient first.
typedef enum : int32_t {
    KEEL_ADD, KEEL_SUBTRACT, KEEL_MULTIPLY, KEEL_DIVIDE, KEEL_POWER, KEEL_MAXIMUM, KEEL_MINIMUM,
    KEEL_TANH_GRADIENT,        // (dy, y)
    KEEL_SIGMOID_GRADIENT,     // (dy, y)
    KEEL_SILU_GRADIENT,        // (dy, x)
    KEEL_GELU_GRADIENT,        // (dy, x)
    KEEL_RELU_GRADIENT,        // (dy, y)
    KEEL_LEAKY_RELU_GRADIENT,  // (dy, x), p0: slope
    KEEL_CLIP_GRADIENT,        // (dy, x), p0, p1: limits
    KEEL_LOGISTIC_LOSS,        // (logit, target)
    KEEL_ARCTANGENT2,          // (y, x): the angle of the point (x, y)
    KEEL_REMAINDER,            // of x / y, with the sign of y
} keel_binary_op;

typedef enum : int32_t {
    KEEL_EQUAL, KEEL_LESS, KEEL_LESS_OR_EQUAL, KEEL_GREATER, KEEL_GREATER_OR_EQUAL, KEEL_AND, KEEL_OR, KEEL_XOR,
} keel_comparison_op;

typedef enum : int32_t {
    KEEL_FLOAT32, KEEL_FLOAT64, KEEL_INT32, KEEL_INT64, KEEL_UINT8, KEEL_BOOL,
} keel_dtype;

// Plain loops: the oracle, and the path of the dtypes that nobody is in a hurry with.
void keel_reference_unary(keel_unary_op op, keel_dtype dtype, const keel_walk *walk, void *y, const void *x, double p0, double p1);
void keel_reference_binary(keel_binary_op op, keel_dtype dtype, const keel_walk *walk, void *z, const void *x, const void *y, double p0, double p1);
void keel_reference_compare(keel_comparison_op op, keel_dtype dtype, const keel_walk *walk, uint8_t *z, const void *x, const void *y);
/// z = condition ? x : y, for elements of `width` bytes.
void keel_reference_select(int32_t width, const keel_walk *walk, void *z, const uint8_t *condition, const void *x, const void *y);
/// Converts `count` numbers. Float to integer truncates and saturates, NaN becomes 0; anything not zero is true.
void keel_cast(keel_dtype to, keel_dtype from, int64_t count, void *y, const void *x);

// Vectorised, on the calling thread's team.
void keel_unary_f32(keel_unary_op op, const keel_walk *walk, float *y, const float *x, float p0, float p1);
void keel_binary_f32(keel_binary_op op, const keel_walk *walk, float *z, const float *x, const float *y, float p0, float p1);
// The same for operands without gaps.
void keel_unary_run_f32(keel_unary_op op, int64_t count, float *y, const float *x, float p0, float p1);
void keel_binary_run_f32(keel_binary_op op, int64_t count, float *z, const float *x, const float *y, float p0, float p1);
/// Numbers in place, on the calling thread alone.
void keel_unary_row_f32(keel_unary_op op, int64_t count, float *x, float p0, float p1);
/// sum[i] += x[i]; `sum` and `x` may not overlap.
void keel_accumulate_f32(int64_t count, float *sum, const float *x);

#endif
