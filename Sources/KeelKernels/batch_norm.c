#include "channels.h"
#include "include/parallel.h"

// Batch normalisation by the batch's statistics, with what follows it: y = clip(x * factor + shift + addend).
//
// Channels that lie together are a part. A few parts are gone through twice before the next few come: where their numbers stay in a cache,
// the second time costs no memory traffic. Backwards whether a number was clipped is computed again from x, which is read anyway, and not
// read from y.

// What fills more than a cache would only push other numbers out of it: such results are stored past the caches.

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

// Positions that are summed up in float before they join a double.
#define BLOCK 256
// At most so many parts, and so many numbers unless one part has more, are gone through together.
#define PARTS 16
#define TOGETHER 131072
// Results of more bytes than this are stored past the caches.
#define STREAMED 4194304

typedef struct {
    keel_channels at;
    keel_batch_norm norm;
    int64_t parts, together;
    bool streams;
    float *out, *dscale, *dbias, *da;
    const float *dy, *x;
} job;

/// At most LANES channels of a group.
typedef struct {
    int64_t group, first, lanes, channel;
} part;

/// What each channel of a part is multiplied with, and what is added: nothing of both for the lanes of padding. Where a part is one
/// channel, all lanes are that one.
typedef struct {
    float factor[LANES], shift[LANES];
} affine;

static job shared_out(job j) {
    const int64_t lanes = j.at.lanes < LANES ? j.at.lanes : LANES;
    j.parts = j.at.groups * lane_parts(&j.at);
    j.together = TOGETHER / (j.at.images * j.at.positions * lanes + 1);
    // The threads get about as much each.
    if (j.together > j.parts / 16) j.together = j.parts / 16;
    if (j.together > PARTS) j.together = PARTS;
    if (j.together < 1) j.together = 1;
    j.streams = j.parts * j.at.images * j.at.positions * lanes * 4 > STREAMED;
    return j;
}

static void run(job j, keel_body body) {
    const int64_t lanes = j.at.lanes < LANES ? j.at.lanes : LANES;
    const int64_t grain = 32768 / (j.together * j.at.images * j.at.positions * lanes + 1) + 1;
    keel_parallel((j.parts + j.together - 1) / j.together, grain, body, &j);
}

KEEL_INLINE part part_at(const keel_channels *at, int64_t item) {
    const int64_t parts = lane_parts(at), first = item % parts * LANES, group = item / parts;
    return (part){group, first, at->lanes - first < LANES ? at->lanes - first : LANES, group * at->lanes + first};
}

KEEL_INLINE int64_t offset_of(const keel_channels *at, part p, int64_t image) {
    return (image * at->groups + p.group) * at->positions * at->lanes + p.first;
}

static void repeat(float *lanes) {
    for (int64_t l = 1; l < LANES; l++) lanes[l] = lanes[0];
}

static affine affine_of(const keel_batch_norm *norm, part p) {
    affine found = {{0}, {0}};
    for (int64_t l = 0; l < p.lanes && p.channel + l < norm->channels; l++) {
        const int64_t k = p.channel + l;
        found.factor[l] = norm->scale[k] / sqrtf(norm->variance[k] + norm->epsilon);
        found.shift[l] = norm->bias[k] - norm->mean[k] * found.factor[l];
    }
    if (p.lanes == 1) repeat(found.factor), repeat(found.shift);
    return found;
}

KEEL_INLINE float clipped(float z, float least, float most) { return z < least ? least : z > most ? most : z; }
KEEL_INLINE float passed(float dy, float z, float least, float most) { return z > least && z < most ? dy : 0; }

// In all of the following the number of lanes and the flags are constants where they are inlined.

/// Eight numbers at a time. A run's numbers have channels that repeat after `width` eights.
KEEL_INLINE void rectify_run(bool adds, bool streams, int64_t count, int64_t width, float *restrict y, const float *restrict x, const float *restrict addend, const affine *a, float least, float most) {
    const eight low = least - (eight){0}, high = most - (eight){0};
    eight factor[LANES / 8], shift[LANES / 8];
    for (int64_t k = 0; k < width; k++) {
        factor[k] = *(const eight *)(a->factor + 8 * k);
        shift[k] = *(const eight *)(a->shift + 8 * k);
    }
    for (int64_t i = 0; i + 8 * width <= count; i += 8 * width)
        for (int64_t k = 0; k < width; k++) {
            const int64_t at = i + 8 * k;
            eight z = *(const eight *)(x + at) * factor[k] + shift[k];
            if (adds) z += *(const eight *)(addend + at);
            z = CHOSEN(z < low, low, z);
            z = CHOSEN(z > high, high, z);
            if (streams) STREAM(y + at, z);
            else *(eight *)(y + at) = z;
        }
    for (int64_t i = count - count % (8 * width); i < count; i++) {
        const float z = x[i] * a->factor[0] + a->shift[0];
        y[i] = clipped(adds ? z + addend[i] : z, least, most);
    }
}

KEEL_INLINE void rectify_each(bool adds, int64_t positions, int64_t lanes, int64_t step, float *restrict y, const float *restrict x, const float *restrict addend, const affine *a, float least, float most) {
    for (int64_t p = 0; p < positions; p++)
        for (int64_t l = 0; l < lanes; l++) {
            const float z = x[p * step + l] * a->factor[l] + a->shift[l];
            y[p * step + l] = clipped(adds ? z + addend[p * step + l] : z, least, most);
        }
}

KEEL_CLONES static void rectify(const job *j, part p, const affine *a, int64_t offset) {
    const float least = j->norm.least, most = j->norm.most, *x = j->x + offset;
    const int64_t step = j->at.lanes, count = j->at.positions * step;
    float *y = j->out + offset;
    const bool streams = j->streams && (uintptr_t)y % 32 == 0;
#define RUN(adds, addend)                                                                                              \
    if (step == 16 && streams) rectify_run(adds, true, count, 2, y, x, addend, a, least, most);                        \
    else if (step == 16) rectify_run(adds, false, count, 2, y, x, addend, a, least, most);                             \
    else if ((step == 8 || step == 1) && streams) rectify_run(adds, true, count, 1, y, x, addend, a, least, most);     \
    else if (step == 8 || step == 1) rectify_run(adds, false, count, 1, y, x, addend, a, least, most);                 \
    else rectify_each(adds, j->at.positions, p.lanes, step, y, x, addend, a, least, most);
    if (j->norm.addend) { RUN(true, j->norm.addend + offset) } else { RUN(false, 0) }
#undef RUN
}

static affine statistics(const job *j, part p) {
    float mean[LANES], variance[LANES];
    keel_part_statistics(&j->at, p.group, p.first, p.lanes, mean, variance, j->x);
    for (int64_t l = 0; l < p.lanes && p.channel + l < j->norm.channels; l++) {
        j->norm.mean[p.channel + l] = mean[l];
        j->norm.variance[p.channel + l] = variance[l];
    }
    return affine_of(&j->norm, p);
}

static void forward(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    affine a[PARTS];
    for (int64_t first = begin * j->together; first < end * j->together && first < j->parts; first += j->together) {
        const int64_t count = j->parts - first < j->together ? j->parts - first : j->together;
        for (int64_t i = 0; i < count; i++) a[i] = statistics(j, part_at(&j->at, first + i));
        for (int64_t image = 0; image < j->at.images; image++)
            for (int64_t i = 0; i < count; i++) {
                const part p = part_at(&j->at, first + i);
                rectify(j, p, &a[i], offset_of(&j->at, p, image));
            }
    }
    if (j->streams) STREAMED_UNTIL_HERE;
}

void keel_batch_norm_f32(keel_channels at, keel_batch_norm norm, float *y, const float *x) {
    run(shared_out((job){.at = at, .norm = norm, .out = y, .x = x}), forward);
}

typedef struct {
    float sum[LANES], product[LANES];
} sums;

KEEL_INLINE void sum_each(bool clips, bool adds, int64_t count, int64_t lanes, int64_t step, sums *found, float *restrict da, const float *restrict dy, const float *restrict x, const float *restrict mean, const affine *a, const float *restrict addend, float least, float most) {
    float s[LANES] = {0}, q[LANES] = {0};
    for (int64_t p = 0; p < count; p++)
        for (int64_t l = 0; l < lanes; l++) {
            const int64_t i = p * step + l;
            const float z = x[i] * a->factor[l] + a->shift[l];
            const float g = clips ? passed(dy[i], adds ? z + addend[i] : z, least, most) : dy[i];
            if (adds) da[i] = g;
            s[l] += g;
            q[l] += g * (x[i] - mean[l]);
        }
    for (int64_t l = 0; l < lanes; l++) {
        found->sum[l] = s[l];
        found->product[l] = q[l];
    }
}

KEEL_INLINE void sum_run(bool clips, bool adds, int64_t n, sums *found, float *restrict da, const float *restrict dy, const float *restrict x, float mean, float factor, float shift, const float *restrict addend, float least, float most) {
    KEEL_REASSOCIATE
    float s = 0, q = 0;
    for (int64_t i = 0; i < n; i++) {
        const float z = x[i] * factor + shift;
        const float g = clips ? passed(dy[i], adds ? z + addend[i] : z, least, most) : dy[i];
        if (adds) da[i] = g;
        s += g;
        q += g * (x[i] - mean);
    }
    found->sum[0] = s;
    found->product[0] = q;
}

KEEL_CLONES static void sum_block(const job *j, part p, int64_t count, int64_t offset, const float *mean, const affine *a, sums *found) {
    const float least = j->norm.least, most = j->norm.most, *dy = j->dy + offset, *x = j->x + offset;
    const int64_t step = j->at.lanes;
#define FORM(clips, adds, da, addend)                                                                                  \
    if (step == 1) sum_run(clips, adds, count, found, da, dy, x, mean[0], a->factor[0], a->shift[0], addend, least, most); \
    else if (step == 8) sum_each(clips, adds, count, 8, 8, found, da, dy, x, mean, a, addend, least, most);            \
    else if (p.lanes == 16) sum_each(clips, adds, count, 16, step, found, da, dy, x, mean, a, addend, least, most);    \
    else sum_each(clips, adds, count, p.lanes, step, found, da, dy, x, mean, a, addend, least, most);
    if (j->norm.addend) { FORM(true, true, j->da + offset, j->norm.addend + offset) }
    else if (least > -INFINITY) { FORM(true, false, 0, 0) }
    else { FORM(false, false, 0, 0) }
#undef FORM
}

/// dx = g * slope + x * tilt + level, where g is dy as far as the limits let it pass.
typedef struct {
    float slope[LANES], tilt[LANES], level[LANES];
} line;

KEEL_INLINE void slope_run(bool clips, bool streams, int64_t count, int64_t width, float *restrict dx, const float *restrict dy, const float *restrict x, const affine *a, const line *d, float least, float most) {
    const eight low = least - (eight){0}, high = most - (eight){0};
    eight factor[LANES / 8], shift[LANES / 8], slope[LANES / 8], tilt[LANES / 8], level[LANES / 8];
    for (int64_t k = 0; k < width; k++) {
        factor[k] = *(const eight *)(a->factor + 8 * k);
        shift[k] = *(const eight *)(a->shift + 8 * k);
        slope[k] = *(const eight *)(d->slope + 8 * k);
        tilt[k] = *(const eight *)(d->tilt + 8 * k);
        level[k] = *(const eight *)(d->level + 8 * k);
    }
    for (int64_t i = 0; i + 8 * width <= count; i += 8 * width)
        for (int64_t k = 0; k < width; k++) {
            const int64_t at = i + 8 * k;
            const eight v = *(const eight *)(x + at), z = v * factor[k] + shift[k];
            eight g = *(const eight *)(dy + at);
            if (clips) g = CHOSEN((z > low) & (z < high), g, (eight){0});
            g = g * slope[k] + v * tilt[k] + level[k];
            if (streams) STREAM(dx + at, g);
            else *(eight *)(dx + at) = g;
        }
    for (int64_t i = count - count % (8 * width); i < count; i++) {
        const float g = clips ? passed(dy[i], x[i] * a->factor[0] + a->shift[0], least, most) : dy[i];
        dx[i] = g * d->slope[0] + x[i] * d->tilt[0] + d->level[0];
    }
}

KEEL_INLINE void slope_each(bool clips, int64_t positions, int64_t lanes, int64_t step, float *restrict dx, const float *restrict dy, const float *restrict x, const affine *a, const line *d, float least, float most) {
    for (int64_t p = 0; p < positions; p++)
        for (int64_t l = 0; l < lanes; l++) {
            const int64_t i = p * step + l;
            const float g = clips ? passed(dy[i], x[i] * a->factor[l] + a->shift[l], least, most) : dy[i];
            dx[i] = g * d->slope[l] + x[i] * d->tilt[l] + d->level[l];
        }
}

KEEL_CLONES static void slope(const job *j, part p, const affine *a, const line *d, int64_t offset) {
    const float least = j->norm.least, most = j->norm.most, *x = j->x + offset;
    const int64_t step = j->at.lanes, count = j->at.positions * step;
    float *dx = j->out + offset;
    const bool streams = j->streams && (uintptr_t)dx % 32 == 0;
#define RUN(clips, dy)                                                                                                 \
    if (step == 16 && streams) slope_run(clips, true, count, 2, dx, dy, x, a, d, least, most);                         \
    else if (step == 16) slope_run(clips, false, count, 2, dx, dy, x, a, d, least, most);                              \
    else if ((step == 8 || step == 1) && streams) slope_run(clips, true, count, 1, dx, dy, x, a, d, least, most);      \
    else if (step == 8 || step == 1) slope_run(clips, false, count, 1, dx, dy, x, a, d, least, most);                  \
    else slope_each(clips, j->at.positions, p.lanes, step, dx, dy, x, a, d, least, most);
    if (j->norm.addend) { RUN(false, j->da + offset) }
    else if (least > -INFINITY) { RUN(true, j->dy + offset) }
    else { RUN(false, j->dy + offset) }
#undef RUN
}

static line sums_of(const job *j, part p, const affine *a) {
    const keel_channels *at = &j->at;
    const keel_batch_norm *norm = &j->norm;
    const int64_t block = at->lanes == 1 ? 8 * BLOCK : BLOCK;
    float mean[LANES] = {0};
    for (int64_t l = 0; l < p.lanes && p.channel + l < norm->channels; l++) mean[l] = norm->mean[p.channel + l];
    double sum[LANES] = {0}, product[LANES] = {0};
    for (int64_t image = 0; image < at->images; image++)
        for (int64_t q = 0; q < at->positions; q += block) {
            sums found;
            sum_block(j, p, at->positions - q < block ? at->positions - q : block, offset_of(at, p, image) + q * at->lanes, mean, a, &found);
            for (int64_t l = 0; l < p.lanes; l++) {
                sum[l] += found.sum[l];
                product[l] += found.product[l];
            }
        }
    // dx = scale * inverse * (g - sum / n - (x - mean) * inverse * product / n)
    line d = {{0}, {0}, {0}};
    const float count = (float)(at->images * at->positions);
    for (int64_t l = 0; l < p.lanes && p.channel + l < norm->channels; l++) {
        const int64_t k = p.channel + l;
        const float inverse = 1 / sqrtf(norm->variance[k] + norm->epsilon);
        j->dbias[k] = (float)sum[l];
        j->dscale[k] = (float)product[l] * inverse;
        d.slope[l] = norm->scale[k] * inverse;
        d.tilt[l] = -d.slope[l] * inverse * j->dscale[k] / count;
        d.level[l] = -d.slope[l] * j->dbias[k] / count - d.tilt[l] * mean[l];
    }
    if (p.lanes == 1) repeat(d.slope), repeat(d.tilt), repeat(d.level);
    return d;
}

static void backward(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    affine a[PARTS];
    line d[PARTS];
    for (int64_t first = begin * j->together; first < end * j->together && first < j->parts; first += j->together) {
        const int64_t count = j->parts - first < j->together ? j->parts - first : j->together;
        for (int64_t i = 0; i < count; i++) {
            const part p = part_at(&j->at, first + i);
            a[i] = affine_of(&j->norm, p);
            d[i] = sums_of(j, p, &a[i]);
        }
        for (int64_t image = 0; image < j->at.images; image++)
            for (int64_t i = 0; i < count; i++) {
                const part p = part_at(&j->at, first + i);
                slope(j, p, &a[i], &d[i], offset_of(&j->at, p, image));
            }
    }
    if (j->streams) STREAMED_UNTIL_HERE;
}

void keel_batch_norm_gradient_f32(keel_channels at, keel_batch_norm norm, float *dx, float *dscale, float *dbias, float *da, const float *dy, const float *x) {
    run(shared_out((job){.at = at, .norm = norm, .out = dx, .dscale = dscale, .dbias = dbias, .da = da, .dy = dy, .x = x}), backward);
}
