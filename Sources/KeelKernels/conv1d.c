// Convolution over time. A sequence is copied between its zeros, so that each step is a product of rows that lie there.
#include "include/conv1d.h"
#include "include/parallel.h"
#include "panels.h"

int64_t keel_conv1d_scratch(const keel_conv1d *s) { return keel_conv1d_reach(s) * keel_spread(s->features); }

int64_t keel_conv1d_reach(const keel_conv1d *s) { return (s->steps - 1) * s->stride + (s->taps - 1) * s->dilation + 1; }

/// The sequence between its zeros, in rows of `width`.
static void pad(const keel_conv1d *s, int64_t width, float *padded, const float *x, int64_t features) {
    const int64_t reach = keel_conv1d_reach(s);
    for (int64_t t = 0; t < reach; t++, padded += width) {
        const int64_t from = t - s->before;
        const bool is_inside = from >= 0 && from < s->time;
        if (is_inside) memcpy(padded, x + from * s->features, (size_t)features * sizeof(float));
        const int64_t filled = is_inside ? features : 0;
        memset(padded + filled, 0, (size_t)(width - filled) * sizeof(float));
    }
}

typedef struct {
    const keel_conv1d *s;
    float *y;
    const float *x, *packed, *bias, *dy;
    float *scratch;
} conv_job;

static void conv_part(void *context, int64_t begin, int64_t end) {
    const conv_job *j = context;
    const keel_conv1d *s = j->s;
    const bool is_wide = keel_is_wide();
    const int64_t panel = keel_panel_width(is_wide), row = keel_spread(s->features);
    for (int64_t worker = begin; worker < end; worker++) {
        float *padded = j->scratch + worker * keel_conv1d_scratch(s);
        for (int64_t b = s->batch * worker / s->workers; b < s->batch * (worker + 1) / s->workers; b++) {
            pad(s, row, padded, j->x + b * s->time * s->features, s->features);
            const float *packed = j->packed;
            for (int64_t from = 0; from < s->filters; from += panel) {
                const int64_t count = least(panel, s->filters - from), width = rounded(count);
                const keel_panel_product p = {
                    .k = s->features, .c_row = s->filters, .a_row = s->stride * row, .a_column = 1, .b_row = width, .stretches = s->taps,
                    .a_stretch = s->dilation * row, .b_stretch = s->features * width, .bias = j->bias ? j->bias + from : 0};
                keel_multiply_panel(is_wide, s->steps, count, p, j->y + b * s->steps * s->filters + from, padded, packed);
                packed += s->taps * s->features * width;
            }
        }
    }
}

void keel_conv1d_f32(const keel_conv1d *s, float *y, const float *x, const float *packed, const float *bias, float *scratch) {
    conv_job j = {.s = s, .y = y, .x = x, .packed = packed, .bias = bias, .scratch = scratch};
    keel_parallel(s->workers, 1, conv_part, &j);
}

/// The rows of some filters, from all sequences in order: so the result is the same at any thread count.
static void conv_weight_part(void *context, int64_t begin, int64_t end) {
    const conv_job *j = context;
    const keel_conv1d *s = j->s;
    const bool is_wide = keel_is_wide();
    const int64_t panel = keel_panel_width(is_wide);
    for (int64_t worker = begin; worker < end; worker++) {
        float *padded = j->scratch + worker * keel_conv1d_scratch(s);
        const int64_t first = s->filters * worker / s->workers, last = s->filters * (worker + 1) / s->workers;
        for (int64_t from = 0; from < s->features; from += panel) {
            const int64_t count = least(panel, s->features - from), width = rounded(count);
            for (int64_t b = 0; b < s->batch; b++) {
                pad(s, width, padded, j->x + b * s->time * s->features + from, count);
                const keel_panel_product p = {
                    .k = s->steps, .c_row = s->features, .a_row = 1, .a_column = s->filters, .b_row = s->stride * width, .stretches = 1, .adds = b > 0};
                for (int64_t tap = 0; tap < s->taps; tap++)
                    keel_multiply_panel(is_wide, last - first, count, p, j->y + (tap * s->filters + first) * s->features + from,
                                   j->dy + b * s->steps * s->filters + first, padded + tap * s->dilation * width);
            }
        }
    }
}

void keel_conv1d_weight_gradient_f32(const keel_conv1d *s, float *dweight, const float *dy, const float *x, float *scratch) {
    conv_job j = {.s = s, .y = dweight, .x = x, .dy = dy, .scratch = scratch};
    keel_parallel(s->workers, 1, conv_weight_part, &j);
}
