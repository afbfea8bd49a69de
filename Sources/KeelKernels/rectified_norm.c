#include "channels.h"
#include "include/parallel.h"

// Batch normalisation's passes with what follows them: y = clip(x * factor + shift + addend). Backwards whether a number was clipped is
// computed again from x, which the pass reads anyway, and not read from y.

#define BLOCK 64

typedef struct {
    keel_channels at;
    keel_rectifier r;
    float *out, *out2, *da;
    const float *dy, *x, *mean, *a, *b, *c;
} job;

KEEL_INLINE float clipped(float z, float least, float most) { return z < least ? least : z > most ? most : z; }
KEEL_INLINE float passed(float dy, float z, float least, float most) { return z > least && z < most ? dy : 0; }

KEEL_INLINE void rectify_each(bool adds, int64_t positions, int64_t lanes, float *restrict y, const float *restrict x, const float *restrict addend, const float *restrict factor, const float *restrict shift, float least, float most) {
    for (int64_t p = 0; p < positions; p++, y += lanes, x += lanes) {
        for (int64_t l = 0; l < lanes; l++) {
            const float z = x[l] * factor[l] + shift[l];
            y[l] = clipped(adds ? z + addend[p * lanes + l] : z, least, most);
        }
    }
}

/// The same for one channel whose numbers lie side by side.
KEEL_INLINE void rectify_run(bool adds, int64_t n, float *restrict y, const float *restrict x, const float *restrict addend, float factor, float shift, float least, float most) {
    for (int64_t i = 0; i < n; i++) {
        const float z = x[i] * factor + shift;
        y[i] = clipped(adds ? z + addend[i] : z, least, most);
    }
}

KEEL_CLONES static void rectify_item(const job *j, int64_t offset, int64_t channel) {
    const keel_rectifier r = j->r;
    const int64_t positions = j->at.positions, lanes = j->at.lanes;
    const float *factor = r.factor + channel, *shift = r.shift + channel, *x = j->x + offset;
    float *y = j->out + offset;
#define FORM(adds, addend)                                                                                             \
    if (lanes == 1) rectify_run(adds, positions, y, x, addend, factor[0], shift[0], r.least, r.most);                  \
    else if (lanes == 8) rectify_each(adds, positions, 8, y, x, addend, factor, shift, r.least, r.most);               \
    else if (lanes == 16) rectify_each(adds, positions, 16, y, x, addend, factor, shift, r.least, r.most);             \
    else rectify_each(adds, positions, lanes, y, x, addend, factor, shift, r.least, r.most);
    if (r.addend) { FORM(true, r.addend + offset) } else { FORM(false, 0) }
#undef FORM
}

static void rectify(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t item = begin; item < end; item++)
        rectify_item(j, item * j->at.positions * j->at.lanes, item % j->at.groups * j->at.lanes);
}

void keel_channel_rectify_f32(keel_channels at, keel_rectifier r, float *y, const float *x) {
    at = spread(at);
    job j = {.at = at, .r = r, .out = y, .x = x};
    keel_parallel(at.images * at.groups, 32768 / (at.positions * at.lanes + 1) + 1, rectify, &j);
}

/// Sums over `count` positions that are `step` apart, of so many lanes: a constant where this is inlined for 8 and 16.
KEEL_INLINE void sums_each(bool adds, int64_t count, int64_t lanes, int64_t step, float *restrict sum, float *restrict product, float *restrict da, const float *restrict dy, const float *restrict x, const float *restrict mean, const keel_rectifier *r, int64_t channel, const float *restrict addend) {
    float s[LANES] = {0}, q[LANES] = {0};
    const float *factor = r->factor + channel, *shift = r->shift + channel;
    for (int64_t p = 0; p < count; p++)
        for (int64_t l = 0; l < lanes; l++) {
            const int64_t i = p * step + l;
            const float z = x[i] * factor[l] + shift[l];
            const float g = passed(dy[i], adds ? z + addend[i] : z, r->least, r->most);
            if (adds) da[i] = g;
            s[l] += g;
            q[l] += g * (x[i] - mean[l]);
        }
    for (int64_t l = 0; l < lanes; l++) {
        sum[l] = s[l];
        product[l] = q[l];
    }
}

KEEL_INLINE void sums_run(bool adds, int64_t n, float *restrict sum, float *restrict product, float *restrict da, const float *restrict dy, const float *restrict x, float mean, const keel_rectifier *r, int64_t channel, const float *restrict addend) {
    KEEL_REASSOCIATE
    const float factor = r->factor[channel], shift = r->shift[channel], least = r->least, most = r->most;
    float s = 0, q = 0;
    for (int64_t i = 0; i < n; i++) {
        const float z = x[i] * factor + shift;
        const float g = passed(dy[i], adds ? z + addend[i] : z, least, most);
        if (adds) da[i] = g;
        s += g;
        q += g * (x[i] - mean);
    }
    *sum = s;
    *product = q;
}

KEEL_CLONES static void sums_block(const job *j, int64_t count, int64_t lanes, int64_t offset, int64_t channel, float *sum, float *product) {
    const keel_rectifier *r = &j->r;
    const float *dy = j->dy + offset, *x = j->x + offset, *mean = j->mean + channel;
#define FORM(adds, da, addend)                                                                                         \
    if (j->at.lanes == 1) sums_run(adds, count, sum, product, da, dy, x, mean[0], r, channel, addend);                 \
    else if (j->at.lanes == 8) sums_each(adds, count, 8, 8, sum, product, da, dy, x, mean, r, channel, addend);        \
    else if (lanes == 16) sums_each(adds, count, 16, j->at.lanes, sum, product, da, dy, x, mean, r, channel, addend);  \
    else sums_each(adds, count, lanes, j->at.lanes, sum, product, da, dy, x, mean, r, channel, addend);
    if (r->addend) { FORM(true, j->da + offset, r->addend + offset) } else { FORM(false, 0, 0) }
#undef FORM
}

static void sums(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const keel_channels *at = &j->at;
    const int64_t parts = lane_parts(at), block = at->lanes == 1 ? BLOCK * LANES : BLOCK;
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item / parts, first = item % parts * LANES, channel = group * at->lanes + first;
        const int64_t lanes = at->lanes - first < LANES ? at->lanes - first : LANES;
        double sum[LANES] = {0}, product[LANES] = {0};
        float block_sum[LANES], block_product[LANES];
        for (int64_t image = 0; image < at->images; image++)
            for (int64_t p = 0; p < at->positions; p += block) {
                const int64_t offset = ((image * at->groups + group) * at->positions + p) * at->lanes + first;
                sums_block(j, at->positions - p < block ? at->positions - p : block, lanes, offset, channel, block_sum, block_product);
                for (int64_t l = 0; l < lanes; l++) {
                    sum[l] += block_sum[l];
                    product[l] += block_product[l];
                }
            }
        for (int64_t l = 0; l < lanes; l++) {
            j->out[channel + l] = (float)sum[l];
            j->out2[channel + l] = (float)product[l];
        }
    }
}

void keel_channel_rectified_sums_f32(keel_channels at, keel_rectifier r, float *sum_dy, float *sum_dy_x, float *da, const float *dy, const float *x, const float *mean) {
    job j = {.at = at, .r = r, .out = sum_dy, .out2 = sum_dy_x, .da = da, .dy = dy, .x = x, .mean = mean};
    keel_parallel(at.groups * lane_parts(&at), work_grain(&at), sums, &j);
}

KEEL_INLINE void slopes_each(int64_t positions, int64_t lanes, float *restrict dx, const float *restrict dy, const float *restrict x, const float *restrict factor, const float *restrict shift, const float *restrict a, const float *restrict b, const float *restrict c, float least, float most) {
    for (int64_t p = 0; p < positions; p++, dx += lanes, dy += lanes, x += lanes)
        for (int64_t l = 0; l < lanes; l++) dx[l] = passed(dy[l], x[l] * factor[l] + shift[l], least, most) * a[l] + x[l] * b[l] + c[l];
}

KEEL_INLINE void slopes_run(int64_t n, float *restrict dx, const float *restrict dy, const float *restrict x, float factor, float shift, float a, float b, float c, float least, float most) {
    for (int64_t i = 0; i < n; i++) dx[i] = passed(dy[i], x[i] * factor + shift, least, most) * a + x[i] * b + c;
}

KEEL_CLONES static void slopes_item(const job *j, int64_t offset, int64_t channel) {
    const keel_rectifier r = j->r;
    const int64_t positions = j->at.positions, lanes = j->at.lanes;
    const float *factor = r.factor + channel, *shift = r.shift + channel, *a = j->a + channel, *b = j->b + channel, *c = j->c + channel;
    const float *dy = j->dy + offset, *x = j->x + offset;
    float *dx = j->out + offset;
    if (lanes == 1) slopes_run(positions, dx, dy, x, factor[0], shift[0], a[0], b[0], c[0], r.least, r.most);
    else if (lanes == 8) slopes_each(positions, 8, dx, dy, x, factor, shift, a, b, c, r.least, r.most);
    else if (lanes == 16) slopes_each(positions, 16, dx, dy, x, factor, shift, a, b, c, r.least, r.most);
    else slopes_each(positions, lanes, dx, dy, x, factor, shift, a, b, c, r.least, r.most);
}

static void slopes(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t item = begin; item < end; item++)
        slopes_item(j, item * j->at.positions * j->at.lanes, item % j->at.groups * j->at.lanes);
}

void keel_channel_rectified_gradient_f32(keel_channels at, keel_rectifier r, float *dx, const float *dy, const float *x, const float *a, const float *b, const float *c) {
    at = spread(at);
    job j = {.at = at, .r = r, .out = dx, .dy = dy, .x = x, .a = a, .b = b, .c = c};
    keel_parallel(at.images * at.groups, 32768 / (at.positions * at.lanes + 1) + 1, slopes, &j);
}
