#include "include/detection.h"
#include "include/parallel.h"
#include "simd.h"

// Non-maximum suppression.

// So many lists of scores are worked on at a time, each with memory of its own.
#define WAVE 32
#define STRIDE 16

static int64_t kept_room(const keel_suppression *at) {
    const int64_t most = at->most < at->n ? at->most : at->n;
    return (most + STRIDE - 1) / STRIDE * STRIDE;
}

// Two orders of int32, five floats and a label for each that may be chosen.
static int64_t list_bytes(const keel_suppression *at) { return (at->n * 8 + kept_room(at) * 28 + 63) / 64 * 64; }

int64_t keel_suppression_bytes(const keel_suppression *at) {
    const int64_t lists = at->pictures * at->classes;
    return list_bytes(at) * (lists < WAVE ? lists : WAVE);
}

typedef struct {
    const keel_suppression *at;
    int64_t first;
    int64_t *chosen, *counts;
    const float *boxes, *scores;
    uint8_t *memory;
} suppression_job;

// A stable merge sort of places by falling score; gives the array that holds the result.
static int32_t *sorted(int64_t count, int32_t *places, int32_t *spare, const float *scores) {
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t from = 0; from < count; from += 2 * width) {
            const int64_t middle = from + width < count ? from + width : count, end = from + 2 * width < count ? from + 2 * width : count;
            int64_t a = from, b = middle;
            for (int64_t i = from; i < end; i++)
                spare[i] = a < middle && (b >= end || scores[places[a]] >= scores[places[b]]) ? places[a++] : places[b++];
        }
        int32_t *other = places;
        places = spare;
        spare = other;
    }
    return places;
}

typedef struct {
    float *left, *top, *right, *bottom, *area;
    int64_t *label;
} kept_boxes;

// Whether one of the first `count` kept boxes overlaps too much with the one at `count`.
KEEL_CLONES static bool overlaps(const kept_boxes *kept, int64_t count, float overlap) {
    const float left = kept->left[count], top = kept->top[count], right = kept->right[count], bottom = kept->bottom[count];
    const float area = kept->area[count];
    const int64_t label = kept->label[count];
    for (int64_t from = 0; from < count; from += STRIDE) {
        const int64_t end = from + STRIDE < count ? from + STRIDE : count;
        int32_t hits = 0;
        for (int64_t i = from; i < end; i++) {
            const float width = __builtin_elementwise_min(right, kept->right[i]) - __builtin_elementwise_max(left, kept->left[i]);
            const float height = __builtin_elementwise_min(bottom, kept->bottom[i]) - __builtin_elementwise_max(top, kept->top[i]);
            const float common = __builtin_elementwise_max(width, 0.0f) * __builtin_elementwise_max(height, 0.0f);
            hits |= (int32_t)(common > overlap * (area + kept->area[i] - common)) & (int32_t)(label == kept->label[i]);
        }
        if (hits) return true;
    }
    return false;
}

static void suppress_lists(void *context, int64_t begin, int64_t end) {
    const suppression_job *j = context;
    const keel_suppression *at = j->at;
    const int64_t room = kept_room(at);
    for (int64_t slot = begin; slot < end; slot++) {
        const int64_t list = j->first + slot, picture = list / at->classes;
        const float *boxes = j->boxes + picture * at->n * 4, *scores = j->scores + list * at->n;
        const int64_t *labels = at->labels ? at->labels + picture * at->n : 0;
        int64_t *chosen = j->chosen + list * at->most;
        uint8_t *memory = j->memory + slot * list_bytes(at);
        kept_boxes kept = {.label = (int64_t *)memory};
        float *numbers = (float *)(kept.label + room);
        kept.left = numbers, kept.top = numbers + room, kept.right = numbers + 2 * room, kept.bottom = numbers + 3 * room, kept.area = numbers + 4 * room;
        int32_t *places = (int32_t *)(numbers + 5 * room);
        int64_t candidates = 0, count = 0;
        for (int64_t i = 0; i < at->n; i++)
            if (scores[i] > (float)at->least) places[candidates++] = (int32_t)i;
        const int32_t *order = sorted(candidates, places, places + at->n, scores);
        for (int64_t c = 0; c < candidates && count < at->most; c++) {
            const float *box = boxes + (int64_t)order[c] * 4;
            kept.left[count] = box[0] < box[2] ? box[0] : box[2], kept.right[count] = box[0] < box[2] ? box[2] : box[0];
            kept.top[count] = box[1] < box[3] ? box[1] : box[3], kept.bottom[count] = box[1] < box[3] ? box[3] : box[1];
            kept.area[count] = (kept.right[count] - kept.left[count]) * (kept.bottom[count] - kept.top[count]);
            kept.label[count] = labels ? labels[order[c]] : 0;
            if (!overlaps(&kept, count, (float)at->overlap)) chosen[count++] = order[c];
        }
        for (int64_t i = count; i < at->most; i++) chosen[i] = -1;
        j->counts[list] = count;
    }
}

void keel_suppress_f32(const keel_suppression *at, int64_t *chosen, int64_t *counts, const float *boxes, const float *scores, void *memory) {
    const int64_t lists = at->pictures * at->classes;
    for (int64_t first = 0; first < lists; first += WAVE) {
        suppression_job j = {at, first, chosen, counts, boxes, scores, memory};
        keel_parallel(lists - first < WAVE ? lists - first : WAVE, 4096 / (at->n + 1) + 1, suppress_lists, &j);
    }
}

#define REFERENCE_SUPPRESSION(type, suffix)                                                                            \
    static type length_##suffix(type a, type b, type c, type d) {                                                      \
        const type low = (a < b ? a : b) > (c < d ? c : d) ? (a < b ? a : b) : (c < d ? c : d);                        \
        const type high = (a > b ? a : b) < (c > d ? c : d) ? (a > b ? a : b) : (c > d ? c : d);                       \
        return high > low ? high - low : 0;                                                                            \
    }                                                                                                                  \
    static type common_##suffix(const type *p, const type *q) {                                                        \
        return length_##suffix(p[0], p[2], q[0], q[2]) * length_##suffix(p[1], p[3], q[1], q[3]);                      \
    }                                                                                                                  \
    void keel_reference_suppress_##suffix(const keel_suppression *at, int64_t *chosen, int64_t *counts,                \
                                          const type *boxes, const type *scores, void *memory) {                       \
        uint8_t *gone = memory;                                                                                        \
        for (int64_t list = 0; list < at->pictures * at->classes; list++, scores += at->n, chosen += at->most) {       \
            const type *box = boxes + list / at->classes * at->n * 4;                                                  \
            const int64_t *label = at->labels ? at->labels + list / at->classes * at->n : 0;                           \
            for (int64_t i = 0; i < at->n; i++) gone[i] = !(scores[i] > (type)at->least);                              \
            counts[list] = 0;                                                                                          \
            for (int64_t k = 0; k < at->most; k++) {                                                                   \
                int64_t best = -1;                                                                                     \
                for (int64_t i = 0; i < at->n; i++)                                                                    \
                    if (!gone[i] && (best < 0 || scores[i] > scores[best])) best = i;                                  \
                chosen[k] = best;                                                                                      \
                if (best < 0) continue;                                                                                \
                counts[list]++;                                                                                        \
                gone[best] = 1;                                                                                        \
                for (int64_t i = 0; i < at->n; i++) {                                                                  \
                    const type common = common_##suffix(box + 4 * best, box + 4 * i);                                  \
                    const type a = common_##suffix(box + 4 * best, box + 4 * best), b = common_##suffix(box + 4 * i, box + 4 * i); \
                    if (common > (type)at->overlap * (a + b - common) && (!label || label[i] == label[best])) gone[i] = 1; \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
REFERENCE_SUPPRESSION(float, f32)
REFERENCE_SUPPRESSION(double, f64)

// Regions of interest.

/// One axis of a region: where it starts, how long a bin is, and how many samples a bin has.
typedef struct {
    double start, bin;
    int64_t samples;
} extent;

static extent extent_of(const keel_regions *at, double from, double to, int64_t bins) {
    const double offset = at->half_pixel ? 0.5 : 0, start = from * at->scale - offset;
    double length = to * at->scale - offset - start;
    if (!at->half_pixel && !(length >= 1)) length = 1;
    const double bin = length / (double)bins, wanted = at->samples > 0 ? (double)at->samples : ceil(bin);
    return (extent){start, bin, !(wanted >= 1) ? 0 : wanted < KEEL_REGION_SAMPLES ? (int64_t)wanted : KEEL_REGION_SAMPLES};
}

// Where a sample of a bin lies between two numbers; false where it lies outside, more than a pixel away.
static bool sample_of(const extent *e, int64_t bin, int64_t sample, int64_t size, int64_t *low, int64_t *high, double *weight) {
    double place = e->start + (double)bin * e->bin + ((double)sample + 0.5) * e->bin / (double)e->samples;
    if (!(place >= -1 && place <= (double)size)) return false;
    if (place < 0) place = 0;
    *low = (int64_t)place;
    if (*low >= size - 1) {
        *low = *high = size - 1;
        *weight = 0;
    } else {
        *high = *low + 1;
        *weight = place - (double)*low;
    }
    return true;
}

typedef struct {
    int64_t count;
    int32_t low[KEEL_REGION_SAMPLES], high[KEEL_REGION_SAMPLES];
    float weight[KEEL_REGION_SAMPLES];
} samples;

static samples samples_of(const extent *e, int64_t bin, int64_t size) {
    samples s;
    s.count = 0;
    for (int64_t i = 0; i < e->samples; i++) {
        int64_t low, high;
        double weight;
        if (!sample_of(e, bin, i, size, &low, &high, &weight)) continue;
        s.low[s.count] = (int32_t)low;
        s.high[s.count] = (int32_t)high;
        s.weight[s.count++] = (float)weight;
    }
    return s;
}

typedef struct {
    const keel_regions *at;
    float *y;
    const float *x, *boxes;
    const int64_t *pictures;
} region_job;

static float share_of(const extent *vertical, const extent *horizontal) {
    const int64_t count = vertical->samples * horizontal->samples;
    return 1.0f / (float)(count > 0 ? count : 1);
}

static void align_regions(void *context, int64_t begin, int64_t end) {
    const region_job *j = context;
    const keel_regions *at = j->at;
    const int64_t plane = at->h * at->w, bins = at->oh * at->ow;
    for (int64_t r = begin; r < end; r++) {
        const float *box = j->boxes + 4 * r;
        const int64_t picture = j->pictures[r] < 0 ? j->pictures[r] + at->n : j->pictures[r];
        const extent vertical = extent_of(at, box[1], box[3], at->oh), horizontal = extent_of(at, box[0], box[2], at->ow);
        const float share = share_of(&vertical, &horizontal);
        for (int64_t bin = 0; bin < bins; bin++) {
            const samples rows = samples_of(&vertical, bin / at->ow, at->h), columns = samples_of(&horizontal, bin % at->ow, at->w);
            for (int64_t c = 0; c < at->c; c++) {
                const float *x = j->x + (picture * at->c + c) * plane;
                float sum = 0;
                for (int64_t a = 0; a < rows.count; a++) {
                    const float *top = x + rows.low[a] * at->w, *bottom = x + rows.high[a] * at->w;
                    for (int64_t b = 0; b < columns.count; b++) {
                        const float left = top[columns.low[b]] + rows.weight[a] * (bottom[columns.low[b]] - top[columns.low[b]]);
                        const float right = top[columns.high[b]] + rows.weight[a] * (bottom[columns.high[b]] - top[columns.high[b]]);
                        sum += left + columns.weight[b] * (right - left);
                    }
                }
                j->y[(r * at->c + c) * bins + bin] = sum * share;
            }
        }
    }
}

void keel_region_align_f32(const keel_regions *at, float *y, const float *x, const float *boxes, const int64_t *pictures) {
    region_job j = {at, y, x, boxes, pictures};
    keel_parallel(at->regions, 4096 / (at->c * at->oh * at->ow + 1) + 1, align_regions, &j);
}

// Channels are the items on the way back, so that no two threads add to one number and the order of additions is always the same.
static void align_back(void *context, int64_t begin, int64_t end) {
    const region_job *j = context;
    const keel_regions *at = j->at;
    const int64_t plane = at->h * at->w, bins = at->oh * at->ow;
    for (int64_t n = 0; n < at->n; n++) memset(j->y + (n * at->c + begin) * plane, 0, (size_t)((end - begin) * plane) * sizeof(float));
    for (int64_t r = 0; r < at->regions; r++) {
        const float *box = j->boxes + 4 * r;
        const int64_t picture = j->pictures[r] < 0 ? j->pictures[r] + at->n : j->pictures[r];
        const extent vertical = extent_of(at, box[1], box[3], at->oh), horizontal = extent_of(at, box[0], box[2], at->ow);
        const float share = share_of(&vertical, &horizontal);
        for (int64_t bin = 0; bin < bins; bin++) {
            const samples rows = samples_of(&vertical, bin / at->ow, at->h), columns = samples_of(&horizontal, bin % at->ow, at->w);
            for (int64_t c = begin; c < end; c++) {
                float *dx = j->y + (picture * at->c + c) * plane;
                const float dy = j->x[(r * at->c + c) * bins + bin] * share;
                for (int64_t a = 0; a < rows.count; a++) {
                    float *top = dx + rows.low[a] * at->w, *bottom = dx + rows.high[a] * at->w;
                    for (int64_t b = 0; b < columns.count; b++) {
                        const float right = dy * columns.weight[b], left = dy - right;
                        top[columns.low[b]] += left - left * rows.weight[a];
                        bottom[columns.low[b]] += left * rows.weight[a];
                        top[columns.high[b]] += right - right * rows.weight[a];
                        bottom[columns.high[b]] += right * rows.weight[a];
                    }
                }
            }
        }
    }
}

void keel_region_align_gradient_f32(const keel_regions *at, float *dx, const float *dy, const float *boxes, const int64_t *pictures) {
    region_job j = {at, dx, dy, boxes, pictures};
    keel_parallel(at->c, 4096 / (at->regions * at->oh * at->ow + at->n * at->h * at->w + 1) + 1, align_back, &j);
}

#define FOR_EACH_SAMPLE(body)                                                                                          \
    for (int64_t r = 0; r < at->regions; r++) {                                                                        \
        const int64_t picture = pictures[r] < 0 ? pictures[r] + at->n : pictures[r];                                   \
        const extent v = extent_of(at, boxes[4 * r + 1], boxes[4 * r + 3], at->oh);                                    \
        const extent u = extent_of(at, boxes[4 * r], boxes[4 * r + 2], at->ow);                                        \
        const double count = v.samples * u.samples > 0 ? (double)(v.samples * u.samples) : 1;                          \
        for (int64_t c = 0; c < at->c; c++)                                                                            \
            for (int64_t row = 0; row < at->oh; row++)                                                                 \
                for (int64_t column = 0; column < at->ow; column++)                                                    \
                    for (int64_t a = 0; a < v.samples; a++)                                                            \
                        for (int64_t b = 0; b < u.samples; b++) {                                                      \
                            int64_t top, bottom, left, right;                                                          \
                            double p, q;                                                                               \
                            if (!sample_of(&v, row, a, at->h, &top, &bottom, &p)) continue;                            \
                            if (!sample_of(&u, column, b, at->w, &left, &right, &q)) continue;                         \
                            const int64_t in = (picture * at->c + c) * at->h * at->w;                                  \
                            const int64_t out = ((r * at->c + c) * at->oh + row) * at->ow + column;                    \
                            const int64_t corners[4] = {in + top * at->w + left, in + top * at->w + right,             \
                                                        in + bottom * at->w + left, in + bottom * at->w + right};      \
                            const double weights[4] = {(1 - p) * (1 - q), (1 - p) * q, p * (1 - q), p * q};            \
                            for (int k = 0; k < 4; k++) body                                                           \
                        }                                                                                              \
    }

#define REFERENCE_REGIONS(type, suffix)                                                                                \
    void keel_reference_region_align_##suffix(const keel_regions *at, type *y, const type *x, const type *boxes,       \
                                              const int64_t *pictures) {                                               \
        memset(y, 0, (size_t)(at->regions * at->c * at->oh * at->ow) * sizeof(type));                                  \
        FOR_EACH_SAMPLE(y[out] += (type)(weights[k] * x[corners[k]] / count);)                                         \
    }                                                                                                                  \
    void keel_reference_region_align_gradient_##suffix(const keel_regions *at, type *dx, const type *dy,               \
                                                       const type *boxes, const int64_t *pictures) {                   \
        memset(dx, 0, (size_t)(at->n * at->c * at->h * at->w) * sizeof(type));                                         \
        FOR_EACH_SAMPLE(dx[corners[k]] += (type)(weights[k] * dy[out] / count);)                                       \
    }
REFERENCE_REGIONS(float, f32)
REFERENCE_REGIONS(double, f64)
