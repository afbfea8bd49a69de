#ifndef KEEL_RECURRENT_H
#define KEEL_RECURRENT_H

#include <stdint.h>

/// The sizes of an LSTM over a sequence, and how its parts lie.
///
/// Hidden units are padded to `padded`, a multiple of 16. What belongs to all four gates of 16 units lies together: gate g (input, forget,
/// cell, output) of unit u is column u / 16 * 64 + g * 16 + u % 16 of `4 * padded`.
///
/// - x [batch, time, features] by strides, for each direction the same; dy [batch, time, directions * hidden] likewise, y dense;
/// - gates, dgates [directions, time, batch, 4 * padded]: the gates after their functions, and the gradients before them;
/// - rows [directions, time, batch, keel_lstm_row]: what the weights are multiplied by at each step, x and the state h before it side by side;
/// - before_c [directions, time, batch, padded]: the state c before each step;
/// - h, c [directions, batch, hidden]: first or last state.
typedef struct {
    int64_t directions, time, batch, features, hidden, padded;
    /// How many numbers of each sequence there are; null where all are whole. Past a sequence's end its state stays and y is 0.
    const int64_t *lengths;
    /// How many parts the batch is cut into, for threads: `keel_lstm_slices`.
    int64_t slices;
} keel_lstm;

int64_t keel_lstm_slices(int64_t directions, int64_t batch);

/// Floats in a row of `rows`; those after x and h are zero.
int64_t keel_lstm_row(int64_t features, int64_t padded);

/// The weights of one direction [4 * hidden, features] and [4 * hidden, recurrent], transposed and packed for the forward pass:
/// [features + recurrent, 64] for each 16 units, in panels as wide as a tile.
void keel_lstm_pack_f32(int64_t features, int64_t recurrent, int64_t hidden, int64_t padded, float *packed, const float *input_weight,
                        const float *recurrent_weight);

typedef struct {
    keel_lstm s;
    const float *x;
    int64_t x_batch, x_time;
    /// For each direction: weights packed by `keel_lstm_pack_f32`; bias [4 * padded].
    const float *packed, *bias;
    /// Null for zeros.
    const float *first_h, *first_c;
    float *y, *last_h, *last_c;
    /// gates may be null; then rows and before_c hold two steps instead of all.
    float *gates, *rows, *before_c;
} keel_lstm_forward;

void keel_lstm_forward_f32(const keel_lstm_forward *job);

typedef struct {
    keel_lstm s;
    /// For each direction: weights packed [4 * padded, hidden].
    const float *packed;
    const float *dy;
    int64_t dy_batch, dy_time;
    /// Null for zeros.
    const float *last_dh, *last_dc;
    const float *gates, *before_c;
    float *dgates;
    /// [directions, batch, padded] each: on return, the gradient of the first state. `spare` is scratch of that size.
    float *dh, *dc, *spare;
    /// [directions, slices, 4 * padded]
    float *dbias;
} keel_lstm_backward;

void keel_lstm_backward_f32(const keel_lstm_backward *job);

// Plain loops with the same parts; x dense, weights as they are: input [4 * hidden, features], recurrent [4 * hidden, hidden], bias [4 * hidden], for
// each direction a pointer.
#define KEEL_LSTM_REFERENCE(type, suffix)                                                                              \
    void keel_reference_lstm_forward_##suffix(const keel_lstm *s, const type *x, const type *const *input,             \
        const type *const *recurrent, const type *const *bias, const type *first_h, const type *first_c, type *y,      \
        type *last_h, type *last_c, type *gates, type *rows, type *before_c);                                      \
    void keel_reference_lstm_backward_##suffix(const keel_lstm *s, const type *const *recurrent, const type *dy,       \
        const type *last_dh, const type *last_dc, const type *gates, const type *before_c, type *dgates, type *dh, type *dc, type *dbias);
KEEL_LSTM_REFERENCE(float, f32)
KEEL_LSTM_REFERENCE(double, f64)
#undef KEEL_LSTM_REFERENCE

#endif
