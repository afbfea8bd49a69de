#ifndef KEEL_GRU_H
#define KEEL_GRU_H

#include <stdint.h>

/// The sizes of a gated recurrent unit over a sequence, and how its parts lie.
///
/// Hidden units are padded to `padded`, a multiple of 16. Column q * padded + u of `4 * padded` belongs to unit u: of x's part of the
/// candidate (q = 0), the reset gate (1), the update gate (2), h's part of the candidate (3). So the first three are what x's weights
/// make, and the last three what h's make.
///
/// - x [time, batch, features] for each direction the same; y and dy [batch, time, directions * hidden], dy by strides;
/// - gates [directions, time, batch, 4 * padded]: candidate, reset and update after their functions, and h's part of the candidate;
/// - dgates, alike: the gradients before the functions;
/// - before [directions, time, batch, padded]: the state before each step;
/// - h [directions, batch, hidden]: first or last state.
typedef struct {
    int64_t directions, time, batch, features, hidden, padded;
    /// How many numbers of each sequence there are; null where all are whole. Past a sequence's end its state stays and y is 0.
    const int64_t *lengths;
    /// How many parts the batch is cut into, for threads: `keel_gru_slices`.
    int64_t slices;
} keel_gru;

int64_t keel_gru_slices(int64_t directions, int64_t batch);

/// The weights of one direction, input [3 * hidden, features] and recurrent [3 * hidden, hidden] in the order reset, update, candidate, for
/// the forward pass: for each 16 units [features + hidden, 48]. And its biases, [3 * hidden] each, as [4 * padded].
void keel_gru_pack_f32(const keel_gru *s, float *packed, float *bias, const float *input, const float *recurrent, const float *input_bias,
                       const float *recurrent_bias);

typedef struct {
    keel_gru s;
    const float *x;
    /// For each direction, from `keel_gru_pack_f32`.
    const float *packed, *bias;
    /// Null for zeros.
    const float *first_h;
    float *y, *last_h;
    /// gates may be null; then before holds two steps instead of all.
    float *gates, *before;
} keel_gru_forward;

void keel_gru_forward_f32(const keel_gru_forward *job);

typedef struct {
    keel_gru s;
    /// For each direction: recurrent weights packed [3 * padded, hidden].
    const float *packed;
    const float *dy;
    int64_t dy_batch, dy_time;
    const float *last_dh;
    const float *gates, *before;
    float *dgates;
    /// [directions, batch, padded] each: on return, the gradient of the first state. `spare` is scratch of that size.
    float *dh, *spare;
    /// [directions, slices, 4 * padded]
    float *dbias;
} keel_gru_backward;

void keel_gru_backward_f32(const keel_gru_backward *job);

// Plain loops with the same parts; weights as they are, four pointers a direction: input, recurrent, and their biases.
#define KEEL_GRU_REFERENCE(type, suffix)                                                                               \
    void keel_reference_gru_forward_##suffix(const keel_gru *s, const type *x, const type *const *weights, const type *first_h, \
                                             type *y, type *last_h, type *gates, type *before);                        \
    void keel_reference_gru_backward_##suffix(const keel_gru *s, const type *const *recurrent, const type *dy, const type *last_dh, \
                                              const type *gates, const type *before, type *dgates, type *dh, type *dbias);
KEEL_GRU_REFERENCE(float, f32)
KEEL_GRU_REFERENCE(double, f64)
#undef KEEL_GRU_REFERENCE

#endif
