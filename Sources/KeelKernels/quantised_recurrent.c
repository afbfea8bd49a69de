#include "include/parallel.h"
#include "include/quantised.h"
#include "simd.h"

/// A sequence's step: `p` and `q` [gates][hidden] are the input's share and the state's.
typedef void (*cell)(int64_t hidden, const float *p, const float *q, float *h, float *c);

KEEL_CLONES static void lstm_cell(int64_t hidden, const float *restrict p, const float *restrict q, float *restrict h, float *restrict c) {
    for (int64_t u = 0; u < hidden; u++) {
        const float in = keel_sigmoid(p[u] + q[u]), forget = keel_sigmoid(p[hidden + u] + q[hidden + u]);
        const float value = keel_tanh(p[2 * hidden + u] + q[2 * hidden + u]), out = keel_sigmoid(p[3 * hidden + u] + q[3 * hidden + u]);
        c[u] = forget * c[u] + in * value;
        h[u] = out * keel_tanh(c[u]);
    }
}

KEEL_CLONES static void gru_cell(int64_t hidden, const float *restrict p, const float *restrict q, float *restrict h, float *restrict c) {
    for (int64_t u = 0; u < hidden; u++) {
        const float reset = keel_sigmoid(p[u] + q[u]), update = keel_sigmoid(p[hidden + u] + q[hidden + u]);
        const float value = keel_tanh(p[2 * hidden + u] + reset * q[2 * hidden + u]);
        h[u] = value + update * (h[u] - value);
    }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void reference_lstm_cell(int64_t hidden, const float *p, const float *q, float *h, float *c) {
    for (int64_t u = 0; u < hidden; u++) {
        double gate[4];
        for (int g = 0; g < 4; g++) gate[g] = (double)p[g * hidden + u] + q[g * hidden + u];
        c[u] = (float)(sigmoid(gate[1]) * c[u] + sigmoid(gate[0]) * tanh(gate[2]));
        h[u] = (float)(sigmoid(gate[3]) * tanh((double)c[u]));
    }
}

static void reference_gru_cell(int64_t hidden, const float *p, const float *q, float *h, float *c) {
    for (int64_t u = 0; u < hidden; u++) {
        const double reset = sigmoid((double)p[u] + q[u]), update = sigmoid((double)p[hidden + u] + q[hidden + u]);
        const double value = tanh(p[2 * hidden + u] + reset * q[2 * hidden + u]);
        h[u] = (float)((1 - update) * value + update * h[u]);
    }
}

/// Floats of a direction's shares: those of all steps' inputs, and those of one step's states.
static int64_t share_of(const keel_quantised_recurrent *j) { return (j->time + 1) * j->batch * j->gates * j->hidden; }
static int64_t bytes_of(const keel_quantised_recurrent *j) {
    const int64_t input = keel_quantised_product_scratch(j->batch * j->time, j->features), state = keel_quantised_product_scratch(j->batch, j->hidden);
    return input > state ? input : state;
}

int64_t keel_quantised_recurrent_scratch(const keel_quantised_recurrent *j) { return j->directions * ((share_of(j) * 4 + 63) / 64 * 64 + bytes_of(j)); }

typedef struct {
    keel_quantised_path path;
    const keel_quantised_recurrent *job;
    cell cell;
    bool is_plain;
} run;

static void product(const run *r, int64_t m, int64_t k, float *y, const float *x, keel_byte_scale scale, const keel_quantised_matrix *weight, uint8_t *scratch) {
    const int64_t n = r->job->gates * r->job->hidden;
    const keel_quantised_end end = {.scales = weight->scales, .bias = weight->bias, .least = -INFINITY, .most = INFINITY};
    if (r->is_plain) keel_reference_quantised_product(m, n, k, y, x, scale, weight->bytes, &end);
    else keel_quantised_product(r->path, m, n, k, y, x, scale, weight->packed, &end, scratch);
}

static void direction(const run *r, int64_t d) {
    const keel_quantised_recurrent *j = r->job;
    const int64_t width = j->gates * j->hidden, batch = j->batch, state = batch * j->hidden;
    uint8_t *scratch = j->scratch + d * ((share_of(j) * 4 + 63) / 64 * 64 + bytes_of(j));
    float *p = (float *)scratch, *q = p + batch * j->time * width, *h = j->last_h + d * state, *c = j->last_c ? j->last_c + d * state : 0;
    uint8_t *bytes = scratch + (share_of(j) * 4 + 63) / 64 * 64;
    for (int64_t i = 0; i < state; i++) {
        h[i] = j->first_h ? j->first_h[d * state + i] : 0;
        if (c) c[i] = j->first_c ? j->first_c[d * state + i] : 0;
    }
    product(r, batch * j->time, j->features, p, j->x, j->scale, j->input + d, bytes);
    for (int64_t i = 0; i < j->time; i++) {
        const int64_t t = d == 1 ? j->time - 1 - i : i;
        product(r, batch, j->hidden, q, h, j->state_scale, j->recurrent + d, bytes);
        for (int64_t b = 0; b < batch; b++) {
            float *y = j->y + ((b * j->time + t) * j->directions + d) * j->hidden;
            if (j->lengths && t >= j->lengths[b]) {
                memset(y, 0, (size_t)j->hidden * sizeof(float));
                continue;
            }
            r->cell(j->hidden, p + (b * j->time + t) * width, q + b * width, h + b * j->hidden, c ? c + b * j->hidden : 0);
            memcpy(y, h + b * j->hidden, (size_t)j->hidden * sizeof(float));
        }
    }
}

static void directions(void *context, int64_t begin, int64_t end) {
    for (int64_t d = begin; d < end; d++) direction(context, d);
}

void keel_quantised_recurrent_f32(keel_quantised_path path, const keel_quantised_recurrent *job) {
    run r = {path, job, job->gates == 4 ? lstm_cell : gru_cell, false};
    keel_parallel(job->directions, 1, directions, &r);
}

void keel_reference_quantised_recurrent_f32(const keel_quantised_recurrent *job) {
    run r = {KEEL_QUANTISED_PLAIN, job, job->gates == 4 ? reference_lstm_cell : reference_gru_cell, true};
    directions(&r, 0, job->directions);
}
