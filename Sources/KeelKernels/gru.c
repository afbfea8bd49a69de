#include "include/gru.h"
#include "include/packed.h"
#include "include/parallel.h"
#include "panels.h"

#define PARTS 4
/// What the weights of x, or of h, make of 16 units.
#define BLOCK (3 * LANES)

int64_t keel_gru_slices(int64_t directions, int64_t batch) {
    const int64_t most = (batch + TILE_ROWS - 1) / TILE_ROWS;
    return least(most, (keel_thread_count() + directions - 1) / directions);
}

void keel_gru_pack_f32(const keel_gru *s, float *packed, float *bias, const float *input, const float *recurrent, const float *input_bias,
                       const float *recurrent_bias) {
    const int64_t hidden = s->hidden, features = s->features;
    for (int64_t u = 0; u < s->padded; u += LANES)
        for (int64_t p = 0; p < features + hidden; p++)
            for (int64_t q = 0; q < 3; q++)
                for (int64_t l = 0; l < LANES; l++)
                    *packed++ = u + l >= hidden ? 0.0f
                              : p < features    ? input[((q + 2) % 3 * hidden + u + l) * features + p]
                                                : recurrent[(q * hidden + u + l) * hidden + p - features];
    for (int64_t q = 0; q < PARTS; q++)
        for (int64_t u = 0; u < s->padded; u++, bias++) {
            const int64_t row = (q + 2) % 3 * hidden + u;
            *bias = u >= hidden ? 0.0f : (q < 3 ? input_bias[row] : 0.0f) + (q > 0 ? recurrent_bias[row] : 0.0f);
        }
}

KEEL_INLINE bool is_past(const keel_gru *s, int64_t row, int64_t t) { return s->lengths && t >= s->lengths[row]; }

/// Where one step reads and writes, for the rows and units at hand. The four parts of `gates` lie `part` apart.
typedef struct {
    int64_t features, hidden, padded, x_row, state_row, gates_row, part;
    const float *x, *h, *weight, *bias;
    float *gates;
} step;

/// The parts `first ..< first + width` for some rows: bias + x · input weights + h · recurrent weights, as far as each part has them.
KEEL_INLINE void gate_tile(int rows, int first, int width, const step *s) {
    lanes sum[TILE_ROWS][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) sum[r][v] = *(const lanes *)(s->bias + (first + v) * s->padded);
    const int from_h = first > 0 ? first : 1, of_x = (first + width < 3 ? first + width : 3) - first;
    if (of_x > 0) keel_tile(rows, of_x, sum, s->features, s->x, s->x_row, 1, s->weight + first * LANES, BLOCK, 0);
    if (first + width > from_h)
        keel_tile(rows, first + width - from_h, (lanes(*)[TILE_WIDTH])&sum[0][from_h - first], s->hidden, s->h, s->state_row, 1,
                  s->weight + s->features * BLOCK + (from_h - 1) * LANES, BLOCK, 0);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) *(lanes *)(s->gates + r * s->gates_row + (first + v) * s->part) = sum[r][v];
}

KEEL_WIDE static void wide_gates(int64_t rows, const step *s) {
    switch (rows) {
#define CASE(n) case n: gate_tile(n, 0, PARTS, s); break;
    KEEL_TILE_CASES
#undef CASE
    }
}

KEEL_CLONES static void narrow_gates(int64_t rows, const step *s) {
    switch (rows) {
#define CASE(n) case n: gate_tile(n, 0, 1, s); gate_tile(n, 1, 1, s); gate_tile(n, 2, 1, s); gate_tile(n, 3, 1, s); break;
    KEEL_TILE_CASES
#undef CASE
    }
}

/// The gates' functions, and the new state of 16 units of some rows: one function after the other, so that its constants stay in registers.
KEEL_CLONES static void cells(int64_t rows, int64_t gates_row, int64_t part, int64_t old_row, int64_t new_row, float *gates, const float *before, float *h) {
    for (int64_t row = 0; row < rows; row++) {
        float *reset = gates + row * gates_row + part, *update = reset + part;
        for (int l = 0; l < LANES; l++) reset[l] = keel_sigmoid(reset[l]);
        for (int l = 0; l < LANES; l++) update[l] = keel_sigmoid(update[l]);
    }
    for (int64_t row = 0; row < rows; row++) {
        float *restrict g = gates + row * gates_row, *restrict new = h + row * new_row;
        const float *restrict old = before + row * old_row;
        for (int l = 0; l < LANES; l++) {
            const float n = keel_tanh(g[l] + g[part + l] * g[3 * part + l]);
            g[l] = n;
            new[l] = n + g[2 * part + l] * (old[l] - n);
        }
    }
}

static void forward_stretch(const keel_gru_forward *j, int64_t direction, int64_t begin, int64_t end) {
    const keel_gru *s = &j->s;
    const int64_t padded = s->padded, state = s->batch * padded, steps = s->time, k = s->features + s->hidden;
    const bool is_wide = keel_is_wide(), keeps = j->gates != 0;
    float scratch[TILE_ROWS * PARTS * LANES], last[TILE_ROWS * LANES];
    float *before = j->before + direction * (keeps ? steps : 2) * state;
    for (int64_t i = 0; i < steps; i++) {
        const int64_t t = direction == 1 ? steps - 1 - i : i, next = direction == 1 ? t - 1 : t + 1;
        float *h = before + (keeps ? t : i & 1) * state, *new_h = before + (keeps ? next : (i + 1) & 1) * state;
        if (i == 0)
            for (int64_t row = begin; row < end; row++)
                for (int64_t u = 0; u < padded; u++)
                    h[row * padded + u] = j->first_h && u < s->hidden ? j->first_h[(direction * s->batch + row) * s->hidden + u] : 0;
        const bool is_last = i == steps - 1;
        for (int64_t u = 0; u < padded; u += LANES) {
            const size_t bytes = (size_t)least(LANES, s->hidden - u) * sizeof(float);
            for (int64_t row = begin; row < end; row += TILE_ROWS) {
                const int64_t rows = least(TILE_ROWS, end - row);
                const step g = {
                    .features = s->features, .hidden = s->hidden, .padded = padded, .x_row = s->features, .state_row = padded,
                    .gates_row = keeps ? PARTS * padded : PARTS * LANES, .part = keeps ? padded : LANES,
                    .x = j->x + (t * s->batch + row) * s->features, .h = h + row * padded,
                    .weight = j->packed + direction * 3 * padded * k + u * 3 * k, .bias = j->bias + direction * PARTS * padded + u,
                    .gates = keeps ? j->gates + ((direction * steps + t) * s->batch + row) * PARTS * padded + u : scratch,
                };
                int64_t running = 0;
                for (int64_t r = 0; r < rows; r++) running += !is_past(s, row + r, t);
                // The state after the last step goes nowhere but out.
                const int64_t new_row = is_last ? LANES : padded;
                float *new = is_last ? last : new_h + row * padded + u;
                const float *old = h + row * padded + u;
                if (running > 0) {
                    if (is_wide) wide_gates(rows, &g);
                    else narrow_gates(rows, &g);
                    cells(rows, g.gates_row, g.part, padded, new_row, g.gates, old, new);
                }
                for (int64_t r = 0; r < rows; r++) {
                    float *y = j->y + ((row + r) * steps + t) * s->directions * s->hidden + direction * s->hidden + u;
                    if (is_past(s, row + r, t)) {
                        memcpy(new + r * new_row, old + r * padded, LANES * sizeof(float));
                        memset(y, 0, bytes);
                    } else {
                        memcpy(y, new + r * new_row, bytes);
                    }
                    if (is_last) memcpy(j->last_h + (direction * s->batch + row + r) * s->hidden + u, new + r * new_row, bytes);
                }
            }
        }
    }
}

static void forward_part(void *context, int64_t begin, int64_t end) {
    const keel_gru_forward *j = context;
    const int64_t slices = j->s.slices, batch = j->s.batch;
    for (int64_t i = begin; i < end; i++)
        forward_stretch(j, i / slices, batch * (i % slices) / slices, batch * (i % slices + 1) / slices);
}

void keel_gru_forward_f32(const keel_gru_forward *job) { keel_parallel(job->s.directions * job->s.slices, 1, forward_part, (void *)job); }

/// One row of one step, back: the gradients before the gates' functions, and in `down` what the state before gets through the update gate.
KEEL_CLONES static void cell_slopes(int64_t hidden, int64_t padded, const float *restrict gates, const float *restrict before,
                                    const float *restrict dy, const float *restrict dh, float *restrict down, float *restrict dgates,
                                    float *restrict dbias) {
    float rest[LANES];
    for (int64_t u = 0; u < padded; u += LANES) {
        const float *from = dy + u;
        if (hidden - u < LANES) {
            for (int64_t l = 0; l < LANES; l++) rest[l] = u + l < hidden ? dy[u + l] : 0;
            from = rest;
        }
        for (int64_t l = 0; l < LANES; l++) {
            const int64_t at = u + l, reset = padded + at, update = 2 * padded + at, inner = 3 * padded + at;
            const float n = gates[at], r = gates[reset], z = gates[update], slope = dh[at] + from[l];
            const float dn = slope * (1.0f - z) * (1.0f - n * n), dr = dn * gates[inner] * (r * (1.0f - r));
            const float dz = slope * (before[at] - n) * (z * (1.0f - z)), d_inner = dn * r;
            dgates[at] = dn;
            dgates[reset] = dr;
            dgates[update] = dz;
            dgates[inner] = d_inner;
            dbias[at] += dn;
            dbias[reset] += dr;
            dbias[update] += dz;
            dbias[inner] += d_inner;
            down[at] = slope * z;
        }
    }
}

static void backward_stretch(const keel_gru_backward *j, int64_t direction, int64_t slice, int64_t begin, int64_t end) {
    const keel_gru *s = &j->s;
    const int64_t padded = s->padded, width = PARTS * padded, state = s->batch * padded;
    float *dh = j->dh + direction * state, *spare = j->spare + direction * state;
    float *dbias = j->dbias + (direction * s->slices + slice) * width;
    const float *packed = j->packed + direction * keel_packed_count(3 * padded, s->hidden);
    memset(dbias, 0, (size_t)width * sizeof(float));
    for (int64_t row = begin; row < end; row++)
        for (int64_t u = 0; u < padded; u++)
            dh[row * padded + u] = u < s->hidden ? j->last_dh[(direction * s->batch + row) * s->hidden + u] : 0;
    for (int64_t i = s->time - 1; i >= 0; i--) {
        const int64_t t = direction == 1 ? s->time - 1 - i : i, first = (direction * s->time + t) * s->batch;
        for (int64_t row = begin; row < end; row++) {
            float *dgates = j->dgates + (first + row) * width;
            if (is_past(s, row, t)) {
                // Past a sequence's end the gradient passes by.
                memset(dgates, 0, (size_t)width * sizeof(float));
                memcpy(spare + row * padded, dh + row * padded, (size_t)padded * sizeof(float));
                continue;
            }
            cell_slopes(s->hidden, padded, j->gates + (first + row) * width, j->before + (first + row) * padded,
                        j->dy + row * j->dy_batch + t * j->dy_time + direction * s->hidden, dh + row * padded, spare + row * padded, dgates, dbias);
        }
        keel_packed_product_f32(end - begin, s->hidden, 3 * padded, spare + begin * padded, padded, j->dgates + (first + begin) * width + padded, width, 1, packed, 3 * padded, 1);
        float *turn = dh;
        dh = spare;
        spare = turn;
    }
    if (dh != j->dh + direction * state)
        memcpy(spare + begin * padded, dh + begin * padded, (size_t)((end - begin) * padded) * sizeof(float));
}

static void backward_part(void *context, int64_t begin, int64_t end) {
    const keel_gru_backward *j = context;
    const int64_t slices = j->s.slices, batch = j->s.batch;
    for (int64_t i = begin; i < end; i++)
        backward_stretch(j, i / slices, i % slices, batch * (i % slices) / slices, batch * (i % slices + 1) / slices);
}

void keel_gru_backward_f32(const keel_gru_backward *job) { keel_parallel(job->s.directions * job->s.slices, 1, backward_part, (void *)job); }
