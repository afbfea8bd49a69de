#include "quantised_picture.h"
#include "include/parallel.h"

keel_byte_picture keel_byte_picture_of(const keel_window *at) {
    keel_byte_picture p = {.step_h = at->kernel_h == 1 ? at->stride_h : 1, .step_w = at->kernel_w == 1 ? at->stride_w : 1, .group = (at->c / at->groups + 3) / 4 * 4};
    p.height = (at->oh - 1) * (at->stride_h / p.step_h) + (at->kernel_h - 1) * at->dilation_h + 1;
    p.width = (at->ow - 1) * (at->stride_w / p.step_w) + (at->kernel_w - 1) * at->dilation_w + 1;
    p.channels = p.group * at->groups;
    return p;
}

typedef struct {
    const keel_window *at;
    keel_byte_picture to;
    uint8_t *q;
    const float *x;
    int64_t lanes;
    keel_byte_scale scale;
} job;

/// Positions of a line that have so many channels side by side, a constant where this is inlined.
KEEL_INLINE void quantise_lanes(int lanes, int64_t count, int64_t channels, int64_t step, uint8_t *restrict q, const float *restrict x, keel_byte_scale scale) {
    for (int64_t i = 0; i < count; i++)
        for (int l = 0; l < lanes; l++) q[i * channels + l] = keel_quantised(x[i * step * lanes + l], scale);
}
KEEL_CLONES static void quantise_8(int64_t count, int64_t channels, int64_t step, uint8_t *q, const float *x, keel_byte_scale scale) {
    quantise_lanes(8, count, channels, step, q, x, scale);
}
KEEL_CLONES static void quantise_16(int64_t count, int64_t channels, int64_t step, uint8_t *q, const float *x, keel_byte_scale scale) {
    quantise_lanes(16, count, channels, step, q, x, scale);
}

/// One channel of a line that is plain.
static void quantise_plain(int64_t count, int64_t channels, uint8_t *q, const float *x, keel_byte_scale scale) {
    uint8_t run[256];
    for (int64_t begin = 0; begin < count; begin += (int64_t)sizeof run) {
        const int64_t part = least((int64_t)sizeof run, count - begin);
        keel_quantise_run(part, run, x + begin, scale);
        for (int64_t i = 0; i < part; i++) q[(begin + i) * channels] = run[i];
    }
}

/// The part of a line that lies within the picture.
static void quantise_line(const job *j, uint8_t *q, const float *x, int64_t count) {
    const int64_t step = j->to.step_w, c = j->at->c, own = c / j->at->groups, lanes = j->lanes, plane = j->at->h * j->at->w * lanes, channels = j->to.channels;
    // Channels keep their places where no group is filled up.
    const bool isDense = own == j->to.group || j->at->groups == 1;
    for (int64_t first = 0; first < c; first += lanes, x += plane) {
        const int64_t there = least(lanes, c - first);
        if (isDense && there == 16 && lanes == 16) {
            quantise_16(count, channels, step, q + first, x, j->scale);
        } else if (isDense && there == 8 && lanes == 8) {
            quantise_8(count, channels, step, q + first, x, j->scale);
        } else if (lanes == 1 && step == 1) {
            quantise_plain(count, channels, q + first / own * j->to.group + first % own, x, j->scale);
        } else {
            for (int64_t i = 0; i < count; i++)
                for (int64_t l = 0; l < there; l++)
                    q[i * channels + (first + l) / own * j->to.group + (first + l) % own] = keel_quantised(x[i * step * lanes + l], j->scale);
        }
    }
}

static void quantise(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const keel_window *at = j->at;
    const int64_t row = j->to.width * j->to.channels, image = (at->c + j->lanes - 1) / j->lanes * j->lanes * at->h * at->w;
    // Columns within the picture are left..<left + there.
    const int64_t left = least((at->left + j->to.step_w - 1) / j->to.step_w, j->to.width), column = left * j->to.step_w - at->left;
    const int64_t there = column < at->w ? least((at->w - column - 1) / j->to.step_w + 1, j->to.width - left) : 0;
    const bool isFilledUp = j->to.group * at->groups != at->c;
    for (int64_t line = begin; line < end; line++) {
        uint8_t *q = j->q + line * row;
        const int64_t y = line % j->to.height * j->to.step_h - at->top;
        // A number outside is 0; what fills up a group is multiplied by 0.
        if (y < 0 || y >= at->h || isFilledUp) memset(q, j->scale.zero, (size_t)row);
        if (y < 0 || y >= at->h) continue;
        memset(q, j->scale.zero, (size_t)(left * j->to.channels));
        quantise_line(j, q + left * j->to.channels, j->x + line / j->to.height * image + (y * at->w + column) * j->lanes, there);
        memset(q + (left + there) * j->to.channels, j->scale.zero, (size_t)((j->to.width - left - there) * j->to.channels));
    }
}

void keel_quantise_picture(const keel_window *at, keel_byte_picture to, uint8_t *q, const float *x, int64_t lanes, keel_byte_scale scale) {
    job j = {at, to, q, x, lanes, scale};
    keel_parallel(at->n * to.height, KEEL_QUANTISE_GRAIN / (to.width * to.channels + 1) + 1, quantise, &j);
}
