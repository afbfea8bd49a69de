#include "include/recurrent.h"
#include "include/packed.h"
#include "include/parallel.h"
#include "panels.h"

#define GATES 4
#define BLOCK (GATES * LANES)

void keel_lstm_pack_f32(int64_t features, int64_t recurrent, int64_t hidden, int64_t padded, float *packed, const float *input_weight,
                        const float *recurrent_weight) {
    const int64_t rows = features + recurrent, columns = keel_panel_width(keel_is_wide());
    for (int64_t u = 0; u < padded; u += LANES, packed += rows * BLOCK)
        for (int64_t g = 0; g < GATES; g++)
            for (int64_t l = 0; l < LANES; l++) {
                const int64_t row = g * hidden + u + l, column = g * LANES + l;
                float *to = packed + column / columns * columns * rows + column % columns;
                for (int64_t p = 0; p < rows; p++)
                    to[p * columns] = u + l >= hidden ? 0.0f
                                    : p < features    ? input_weight[row * features + p]
                                                      : recurrent_weight[row * recurrent + p - features];
            }
}

KEEL_INLINE bool is_past(const keel_lstm *s, int64_t row, int64_t t) { return s->lengths && t >= s->lengths[row]; }

/// Where one step reads and writes, for the rows and units at hand.
typedef struct {
    int64_t k, row, gates_row;
    const float *rows, *weight, *bias;
    float *gates;
} step;

/// gates = bias + rows of (x, h) · weights, for some rows and `width` registers of the 64 columns.
KEEL_INLINE void gate_tile(int rows, int width, const step *s, int column) {
    lanes sum[TILE_ROWS][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) sum[r][v] = *(const lanes *)(s->bias + column + v * LANES);
    keel_tile(rows, width, sum, s->k, s->rows, s->row, 1, s->weight + column * s->k, width * LANES, 0);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) *(lanes *)(s->gates + r * s->gates_row + column + v * LANES) = sum[r][v];
}

KEEL_WIDE static void wide_gates(int64_t rows, const step *s) {
    switch (rows) {
#define CASE(n) case n: gate_tile(n, GATES, s, 0); break;
    KEEL_TILE_CASES
#undef CASE
    }
}

KEEL_CLONES static void narrow_gates(int64_t rows, const step *s) {
    switch (rows) {
#define CASE(n) case n: for (int g = 0; g < GATES; g++) gate_tile(n, 1, s, g * LANES); break;
    KEEL_TILE_CASES
#undef CASE
    }
}

/// The gates' functions, and the new state of 16 units of some rows: one function after the other, so that its constants stay in registers.
KEEL_CLONES static void cells(int64_t rows, int64_t gates_row, int64_t old_row, int64_t c_row, int64_t h_row, float *gates, const float *before_c, float *c, float *h) {
    for (int64_t r = 0; r < rows; r++) {
        float *input_and_forget = gates + r * gates_row, *output = input_and_forget + 3 * LANES;
        for (int l = 0; l < 2 * LANES; l++) input_and_forget[l] = keel_sigmoid(input_and_forget[l]);
        for (int l = 0; l < LANES; l++) output[l] = keel_sigmoid(output[l]);
    }
    for (int64_t r = 0; r < rows; r++) {
        float *new = gates + r * gates_row + 2 * LANES;
        for (int l = 0; l < LANES; l++) new[l] = keel_tanh(new[l]);
    }
    for (int64_t r = 0; r < rows; r++) {
        const float *restrict gate = gates + r * gates_row, *restrict old = before_c + r * old_row;
        float *restrict state = c + r * c_row, *restrict y = h + r * h_row;
        for (int l = 0; l < LANES; l++) {
            state[l] = gate[LANES + l] * old[l] + gate[l] * gate[2 * LANES + l];
            y[l] = gate[3 * LANES + l] * keel_tanh(state[l]);
        }
    }
}

static void forward_stretch(const keel_lstm_forward *j, int64_t direction, int64_t begin, int64_t end) {
    const keel_lstm *s = &j->s;
    const int64_t steps = s->time, k = s->features + s->hidden, row_length = keel_lstm_row(s->features, s->padded);
    const int64_t step_of_rows = s->batch * row_length, step_of_c = s->batch * s->padded;
    const bool is_wide = keel_is_wide(), keeps = j->gates != 0;
    float scratch[TILE_ROWS * BLOCK], last_h[TILE_ROWS * LANES], last_c[TILE_ROWS * LANES];
    const int64_t kept = keeps ? steps : 2;
    float *all_rows = j->rows + direction * kept * step_of_rows, *before_c = j->before_c + direction * kept * step_of_c;
    for (int64_t i = 0; i < steps; i++) {
        const int64_t t = direction == 1 ? steps - 1 - i : i, next = direction == 1 ? t - 1 : t + 1;
        const int64_t at = keeps ? t : i & 1, to = keeps ? next : (i + 1) & 1;
        float *now = all_rows + at * step_of_rows, *c = before_c + at * step_of_c;
        for (int64_t row = begin; row < end; row++) {
            float *of_x = now + row * row_length, *h = of_x + s->features;
            memcpy(of_x, j->x + row * j->x_batch + t * j->x_time, (size_t)s->features * sizeof(float));
            memset(h + s->padded, 0, (size_t)(row_length - s->features - s->padded) * sizeof(float));
            for (int64_t u = 0; i == 0 && u < s->padded; u++) {
                const int64_t from = (direction * s->batch + row) * s->hidden + u;
                h[u] = j->first_h && u < s->hidden ? j->first_h[from] : 0;
                c[row * s->padded + u] = j->first_c && u < s->hidden ? j->first_c[from] : 0;
            }
        }
        // The state after the last step goes nowhere but out.
        const bool is_last = i == steps - 1;
        const int64_t h_row = is_last ? LANES : row_length, c_row = is_last ? LANES : s->padded;
        for (int64_t u = 0; u < s->padded; u += LANES) {
            const int64_t units = least(LANES, s->hidden - u);
            for (int64_t row = begin; row < end; row += TILE_ROWS) {
                const int64_t rows = least(TILE_ROWS, end - row);
                step g = {
                    .k = k, .row = row_length, .gates_row = keeps ? GATES * s->padded : BLOCK, .rows = now + row * row_length,
                    .weight = j->packed + (direction * GATES * s->padded + u * GATES) * k, .bias = j->bias + direction * GATES * s->padded + u * GATES,
                    .gates = keeps ? j->gates + ((direction * steps + t) * s->batch + row) * GATES * s->padded + u * GATES : scratch,
                };
                if (is_wide) wide_gates(rows, &g);
                else narrow_gates(rows, &g);
                float *new_h = is_last ? last_h : all_rows + to * step_of_rows + row * row_length + s->features + u;
                float *new_c = is_last ? last_c : before_c + to * step_of_c + row * s->padded + u;
                const float *old_h = now + row * row_length + s->features + u, *old_c = c + row * s->padded + u;
                cells(rows, g.gates_row, s->padded, c_row, h_row, g.gates, old_c, new_c, new_h);
                for (int64_t r = 0; r < rows; r++) {
                    float *y = j->y + ((row + r) * steps + t) * s->directions * s->hidden + direction * s->hidden + u;
                    float *hr = new_h + r * h_row, *cr = new_c + r * c_row;
                    if (is_past(s, row + r, t)) {
                        memcpy(hr, old_h + r * row_length, LANES * sizeof(float));
                        memcpy(cr, old_c + r * s->padded, LANES * sizeof(float));
                        memset(y, 0, (size_t)units * sizeof(float));
                    } else {
                        memcpy(y, hr, (size_t)units * sizeof(float));
                    }
                    if (!is_last) continue;
                    const int64_t out = (direction * s->batch + row + r) * s->hidden + u;
                    memcpy(j->last_h + out, hr, (size_t)units * sizeof(float));
                    memcpy(j->last_c + out, cr, (size_t)units * sizeof(float));
                }
            }
        }
    }
}

int64_t keel_lstm_row(int64_t features, int64_t padded) { return keel_spread(features + padded); }

int64_t keel_lstm_slices(int64_t directions, int64_t batch) {
    const int64_t threads = keel_thread_count(), most = (batch + TILE_ROWS - 1) / TILE_ROWS;
    const int64_t wanted = (threads + directions - 1) / directions;
    return wanted < most ? wanted : most;
}

static void forward_part(void *context, int64_t begin, int64_t end) {
    const keel_lstm_forward *j = context;
    const int64_t slices = j->s.slices, batch = j->s.batch;
    for (int64_t i = begin; i < end; i++)
        forward_stretch(j, i / slices, batch * (i % slices) / slices, batch * (i % slices + 1) / slices);
}

void keel_lstm_forward_f32(const keel_lstm_forward *job) {
    keel_parallel(job->s.directions * job->s.slices, 1, forward_part, (void *)job);
}

/// What goes back through `cell`: the gates' gradients, and dc, which becomes that of the state before.
KEEL_INLINE void cell_slope(const float *restrict gates, const float *restrict before_c, const float *restrict tanh_c, const float *restrict dy,
                            const float *restrict dh, float *restrict dc, float *restrict dgates, float *restrict dbias) {
    for (int l = 0; l < LANES; l++) {
        const float i = gates[l], f = gates[LANES + l], g = gates[2 * LANES + l], o = gates[3 * LANES + l];
        const float before = before_c[l], curve = tanh_c[l], slope = dh[l] + dy[l];
        const float state = dc[l] + slope * o * (1.0f - curve * curve);
        const float di = state * g * (i * (1.0f - i)), df = state * before * (f * (1.0f - f));
        const float dg = state * i * (1.0f - g * g), d_o = slope * curve * (o * (1.0f - o));
        dgates[l] = di;
        dgates[LANES + l] = df;
        dgates[2 * LANES + l] = dg;
        dgates[3 * LANES + l] = d_o;
        dbias[l] += di;
        dbias[LANES + l] += df;
        dbias[2 * LANES + l] += dg;
        dbias[3 * LANES + l] += d_o;
        dc[l] = state * f;
    }
}

/// Units whose tanh is computed at a time.
#define STRETCH (8 * LANES)

/// One row of one step.
KEEL_CLONES static void cell_slopes(int64_t hidden, int64_t padded, const float *gates, const float *before_c, const float *dy, const float *dh, float *dc, float *dgates, float *dbias) {
    float rest[LANES], curve[STRETCH];
    for (int64_t begin = 0; begin < padded; begin += STRETCH) {
        const int64_t end = least(begin + STRETCH, padded);
        for (int64_t u = begin; u < end; u += LANES) {
            const float *gate = gates + u * GATES;
            for (int l = 0; l < LANES; l++) curve[u - begin + l] = keel_tanh(gate[LANES + l] * before_c[u + l] + gate[l] * gate[2 * LANES + l]);
        }
        for (int64_t u = begin; u < end; u += LANES) {
            const float *from = dy + u;
            if (hidden - u < LANES) {
                for (int64_t l = 0; l < LANES; l++) rest[l] = u + l < hidden ? dy[u + l] : 0;
                from = rest;
            }
            cell_slope(gates + u * GATES, before_c + u, curve + u - begin, from, dh + u, dc + u, dgates + u * GATES, dbias + u * GATES);
        }
    }
}

static void backward_stretch(const keel_lstm_backward *j, int64_t direction, int64_t slice, int64_t begin, int64_t end) {
    const keel_lstm *s = &j->s;
    const int64_t width = GATES * s->padded, state = s->batch * s->padded, k = GATES * s->padded;
    float *dh = j->dh + direction * state, *dc = j->dc + direction * state, *spare = j->spare + direction * state;
    float *dbias = j->dbias + (direction * s->slices + slice) * width;
    const float *packed = j->packed + direction * keel_packed_count(k, s->hidden);
    memset(dbias, 0, (size_t)width * sizeof(float));
    for (int64_t row = begin; row < end; row++)
        for (int64_t u = 0; u < s->padded; u++) {
            const int64_t from = (direction * s->batch + row) * s->hidden + u;
            dh[row * s->padded + u] = j->last_dh && u < s->hidden ? j->last_dh[from] : 0;
            dc[row * s->padded + u] = j->last_dc && u < s->hidden ? j->last_dc[from] : 0;
            spare[row * s->padded + u] = 0;
        }
    for (int64_t i = s->time - 1; i >= 0; i--) {
        const int64_t t = direction == 1 ? s->time - 1 - i : i, first = (direction * s->time + t) * s->batch;
        for (int64_t row = begin; row < end; row++) {
            float *dgates = j->dgates + (first + row) * width;
            if (is_past(s, row, t)) {
                memset(dgates, 0, (size_t)width * sizeof(float));
                continue;
            }
            cell_slopes(s->hidden, s->padded, j->gates + (first + row) * width, j->before_c + (first + row) * s->padded,
                        j->dy + row * j->dy_batch + t * j->dy_time + direction * s->hidden, dh + row * s->padded, dc + row * s->padded,
                        dgates, dbias);
        }
        keel_packed_product_f32(end - begin, s->hidden, k, spare + begin * s->padded, s->padded, j->dgates + (first + begin) * width, width, 1, packed, k, 0);
        // Past a sequence's end the gradient passes by.
        if (s->lengths)
            for (int64_t row = begin; row < end; row++)
                if (is_past(s, row, t)) memcpy(spare + row * s->padded, dh + row * s->padded, (size_t)s->padded * sizeof(float));
        float *turn = dh;
        dh = spare;
        spare = turn;
    }
    if (dh != j->dh + direction * state)
        memcpy(spare + begin * s->padded, dh + begin * s->padded, (size_t)((end - begin) * s->padded) * sizeof(float));
}

static void backward_part(void *context, int64_t begin, int64_t end) {
    const keel_lstm_backward *j = context;
    const int64_t slices = j->s.slices, batch = j->s.batch;
    for (int64_t i = begin; i < end; i++)
        backward_stretch(j, i / slices, i % slices, batch * (i % slices) / slices, batch * (i % slices + 1) / slices);
}

void keel_lstm_backward_f32(const keel_lstm_backward *job) {
    keel_parallel(job->s.directions * job->s.slices, 1, backward_part, (void *)job);
}
