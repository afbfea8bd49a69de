#ifndef KEEL_QUANTISED_H
#define KEEL_QUANTISED_H

#include "elementwise.h"
#include "image.h"

// Products of bytes. An activation x is a whole number q of 0...255 and stands for (q - zero) * scale; a weight is a byte whose zero is 128,
// times a scale for each output. Sums are exact in 32 bits, and what follows them is rounded in one order on every processor.

/// The furthest from 128 that a weight may lie: two products of such a weight and a byte fit 16 bits, which AVX2 sums them in.
#define KEEL_QUANTISED_REACH 64
/// The most products of one sum: 131072 * 255 * 64 is just below 2^31.
#define KEEL_QUANTISED_DEPTH 131072

/// How numbers become bytes: x / scale, rounded to even, plus zero, limited to 0...255; a NaN becomes 0.
typedef struct {
    float scale;
    int32_t zero;
} keel_byte_scale;

/// What follows a sum in the same pass: `sum * scale * scales[n] + bias[n] + addend`, then the limits. `bias` and `addend` may be null; the addend lies as
/// the result. Of a product of matrices also a function, if it has one.
typedef struct {
    const float *scales, *bias, *addend;
    float least, most;
    int32_t has_function;
    keel_unary_op function;
    float constants[2];
} keel_quantised_end;

/// Instruction sets that the kernels are written for; all give the same numbers.
typedef enum { KEEL_QUANTISED_PLAIN, KEEL_QUANTISED_AVX2, KEEL_QUANTISED_VNNI } keel_quantised_path;
/// The fastest that the processor has; those before it, it has too.
keel_quantised_path keel_quantised_best_path(void);

/// Whether all weights lie within `KEEL_QUANTISED_REACH` of 128.
int32_t keel_quantised_fits(int64_t count, const uint8_t *weight);

/// The least and the largest of the numbers and 0, passing over NaN.
void keel_quantised_range(int64_t count, const float *x, float *least, float *most);

/// Bytes that packed weights [n, c, taps] take, in so many groups; 64-byte aligned.
int64_t keel_quantised_packed_bytes(int64_t n, int64_t c, int64_t taps, int64_t groups);
void keel_quantised_pack(int64_t n, int64_t c, int64_t taps, int64_t groups, int8_t *packed, const uint8_t *weight);

/// y [m, n] = x [m, k] · weightᵀ, of weights that were packed as [n, k, 1] in one group. Scratch memory is 64-byte aligned.
int64_t keel_quantised_product_scratch(int64_t m, int64_t k);
void keel_quantised_product(keel_quantised_path path, int64_t m, int64_t n, int64_t k, float *y, const float *x, keel_byte_scale scale, const int8_t *packed, const keel_quantised_end *end, uint8_t *scratch);

/// A convolution of x [n, c / x_lanes, h, w, x_lanes] to y [n, k / y_lanes, oh, ow, y_lanes], 1 for a plain tensor; the last block may be filled up, y's with
/// zeros. In several groups y is plain or channels-last. Weights were packed as [k, c / groups, taps].
int64_t keel_quantised_conv_scratch(const keel_window *at);
void keel_quantised_conv(keel_quantised_path path, const keel_window *at, float *y, int64_t y_lanes, const float *x, int64_t x_lanes, keel_byte_scale scale, const int8_t *packed, const keel_quantised_end *end, uint8_t *scratch);

/// Whether `keel_quantised_winograd` takes a convolution in place of this path's direct sum, and whether it is the faster of the two.
int32_t keel_quantised_winograd_takes(keel_quantised_path path, const keel_window *at);
int32_t keel_quantised_winograd_is_faster(keel_quantised_path path, const keel_window *at);

/// As `keel_quantised_conv`, and with the same results, by Winograd's F(2x2, 3x3) in whole numbers, which is exact: 16 multiplications for 4 results
/// instead of 36, of 16 bits instead of 8. Bytes of its filters and of its scratch memory, both 64-byte aligned.
int64_t keel_quantised_winograd_filter_bytes(const keel_window *at);
void keel_quantised_winograd_filters(const keel_window *at, int16_t *filters, const uint8_t *weight);
int64_t keel_quantised_winograd_scratch(const keel_window *at);
void keel_quantised_winograd(const keel_window *at, float *y, int64_t y_lanes, const float *x, int64_t x_lanes, keel_byte_scale scale, const int16_t *filters, const keel_quantised_end *end, uint8_t *scratch);

/// y [n] = x [k] · (weight - 128)ᵀ of weights [n, k] of 8 bits, with what `end` says but for addend and limits. It reads them once, as they lie.
void keel_byte_weight_row_product(int64_t n, int64_t k, float *y, const float *x, const uint8_t *weight, const keel_quantised_end *end);
/// The same of x [m, k], with weights in the panels that this processor's tiles have.
int64_t keel_byte_weight_packed_bytes(int64_t k, int64_t n);
void keel_byte_weight_pack(int64_t k, int64_t n, uint8_t *packed, const uint8_t *weight);
void keel_byte_weight_product(int64_t m, int64_t n, int64_t k, float *y, const float *x, const uint8_t *packed, const keel_quantised_end *end);

// In plain loops. x [m, k], weight [n, k], y [m, n].
void keel_reference_quantised_product(int64_t m, int64_t n, int64_t k, float *y, const float *x, keel_byte_scale scale, const uint8_t *weight, const keel_quantised_end *end);
/// x [n, c, h, w], weight [k, c / groups, kernel_h, kernel_w].
void keel_reference_quantised_conv(const keel_window *at, float *y, const float *x, keel_byte_scale scale, const uint8_t *weight, const keel_quantised_end *end);
/// x stays as it is: y = x · (weight - 128)ᵀ * scales + bias.
void keel_reference_byte_weight_product(int64_t m, int64_t n, int64_t k, float *y, const float *x, const uint8_t *weight, const float *scales, const float *bias);

/// A matrix of weights: as it is, packed unless it is for the plain loops, and with what belongs to its products; a null bias is none.
typedef struct {
    const uint8_t *bytes;
    const int8_t *packed;
    const float *scales, *bias;
} keel_quantised_matrix;

/// An LSTM (4 gates: input, forget, cell, output) or a GRU (3: reset, update, candidate) of bytes over sequences x [batch, time, features]. Each direction has a
/// matrix [gates * hidden, features] and one [gates * hidden, hidden]. Before each step the state is rounded to bytes.
typedef struct {
    int64_t gates, directions, batch, time, features, hidden;
    keel_byte_scale scale, state_scale;
    const float *x;
    const keel_quantised_matrix *input, *recurrent;
    /// [directions, batch, hidden] each; null for zeros, and c for a GRU.
    const float *first_h, *first_c;
    /// How many numbers of each sequence there are; null where all are whole. Past a sequence's end its state stays and y is 0.
    const int64_t *lengths;
    /// [batch, time, directions * hidden], and the last states.
    float *y, *last_h, *last_c;
    /// 64-byte aligned.
    uint8_t *scratch;
} keel_quantised_recurrent;

int64_t keel_quantised_recurrent_scratch(const keel_quantised_recurrent *job);
void keel_quantised_recurrent_f32(keel_quantised_path path, const keel_quantised_recurrent *job);
void keel_reference_quantised_recurrent_f32(const keel_quantised_recurrent *job);

#endif
