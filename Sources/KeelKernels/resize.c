#include "include/resize.h"
#include "include/parallel.h"
#include "simd.h"

/// A place of an axis is `1 - weight` of the number at `low` and `weight` of the one at `high`.
typedef struct {
    int64_t low, high;
    double weight;
} tap;

static tap tap_of(const keel_resize *at, int64_t i, int64_t given, int64_t wanted) {
    double place = 0;
    switch (at->coordinates) {
    case KEEL_HALF_PIXEL: place = (double)((2 * i + 1) * given - wanted) / (double)(2 * wanted); break;
    case KEEL_ALIGN_CORNERS: place = wanted == 1 ? 0 : (double)(i * (given - 1)) / (double)(wanted - 1); break;
    case KEEL_ASYMMETRIC: place = (double)(i * given) / (double)wanted; break;
    }
    const double last = (double)(given - 1);
    double whole = 0;
    switch (at->mode) {
    case KEEL_LINEAR: {
        const double inside = place < 0 ? 0 : place > last ? last : place;
        const int64_t low = (int64_t)inside;
        return (tap){low, low < given - 1 ? low + 1 : low, inside - (double)low};
    }
    case KEEL_NEAREST_FLOOR: whole = floor(place); break;
    case KEEL_NEAREST_CEIL: whole = ceil(place); break;
    case KEEL_NEAREST_PREFER_FLOOR: whole = ceil(place - 0.5); break;
    case KEEL_NEAREST_PREFER_CEIL: whole = floor(place + 0.5); break;
    }
    const int64_t low = (int64_t)(whole < 0 ? 0 : whole > last ? last : whole);
    return (tap){low, low, 0};
}

/// The taps of an axis, each part beside its like.
typedef struct {
    int32_t *low, *high;
    float *weight;
} taps;

static taps taps_of(const keel_resize *at, int64_t given, int64_t wanted, void *memory) {
    taps t = {memory, (int32_t *)memory + wanted, (float *)memory + 2 * wanted};
    for (int64_t i = 0; i < wanted; i++) {
        const tap one = tap_of(at, i, given, wanted);
        t.low[i] = (int32_t)one.low;
        t.high[i] = (int32_t)one.high;
        t.weight[i] = (float)one.weight;
    }
    return t;
}

typedef struct {
    const keel_resize *at;
    int64_t lanes;
    taps rows, columns;
    float *y;
    const float *x;
} resize_job;

static resize_job job_of(const keel_resize *at, int32_t lanes, void *memory, float *y, const float *x) {
    const taps rows = taps_of(at, at->h, at->oh, memory);
    return (resize_job){at, lanes, rows, taps_of(at, at->w, at->ow, (float *)memory + 3 * at->oh), y, x};
}

KEEL_CLONES static void linear_row(int64_t n, float *restrict y, const float *restrict top, const float *restrict bottom, float weight,
                                   const int32_t *restrict low, const int32_t *restrict high, const float *restrict weights) {
    for (int64_t i = 0; i < n; i++) {
        const float left = top[low[i]] + weight * (bottom[low[i]] - top[low[i]]);
        const float right = top[high[i]] + weight * (bottom[high[i]] - top[high[i]]);
        y[i] = left + weights[i] * (right - left);
    }
}

KEEL_CLONES static void linear_lanes(int64_t n, int64_t lanes, float *restrict y, const float *restrict top, const float *restrict bottom,
                                     float weight, const int32_t *restrict low, const int32_t *restrict high, const float *restrict weights) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = low[i] * lanes, b = high[i] * lanes;
        for (int64_t l = 0; l < lanes; l++) {
            const float left = top[a + l] + weight * (bottom[a + l] - top[a + l]);
            const float right = top[b + l] + weight * (bottom[b + l] - top[b + l]);
            y[i * lanes + l] = left + weights[i] * (right - left);
        }
    }
}

KEEL_CLONES static void nearest_row(int64_t n, int64_t lanes, float *restrict y, const float *restrict x, const int32_t *restrict low) {
    if (lanes == 1)
        for (int64_t i = 0; i < n; i++) y[i] = x[low[i]];
    else
        for (int64_t i = 0; i < n; i++)
            for (int64_t l = 0; l < lanes; l++) y[i * lanes + l] = x[low[i] * lanes + l];
}

static void resize_rows(void *context, int64_t begin, int64_t end) {
    const resize_job *j = context;
    const keel_resize *at = j->at;
    const int64_t width = at->ow * j->lanes;
    for (int64_t item = begin; item < end; item++) {
        const int64_t row = item % at->oh;
        const float *plane = j->x + item / at->oh * at->h * at->w * j->lanes;
        const float *top = plane + j->rows.low[row] * at->w * j->lanes, *bottom = plane + j->rows.high[row] * at->w * j->lanes;
        const float weight = j->rows.weight[row];
        float *y = j->y + item * width;
        if (at->mode != KEEL_LINEAR) nearest_row(at->ow, j->lanes, y, top, j->columns.low);
        else if (j->lanes == 1) linear_row(at->ow, y, top, bottom, weight, j->columns.low, j->columns.high, j->columns.weight);
        else linear_lanes(at->ow, j->lanes, y, top, bottom, weight, j->columns.low, j->columns.high, j->columns.weight);
    }
}

void keel_resize_f32(const keel_resize *at, int64_t planes, int32_t lanes, void *memory, float *y, const float *x) {
    resize_job j = job_of(at, lanes, memory, y, x);
    keel_parallel(planes * at->oh, 8192 / (at->ow * lanes) + 1, resize_rows, &j);
}

// The way back goes picture by picture: rows of dy meet in rows of dx. At the edge both are one row.
KEEL_CLONES static void linear_back(int64_t n, int64_t lanes, float *top, float *bottom, float weight, const float *restrict dy,
                                    const int32_t *restrict low, const int32_t *restrict high, const float *restrict weights) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = low[i] * lanes, b = high[i] * lanes;
        for (int64_t l = 0; l < lanes; l++) {
            const float right = dy[i * lanes + l] * weights[i], left = dy[i * lanes + l] - right;
            top[a + l] += left - left * weight;
            bottom[a + l] += left * weight;
            top[b + l] += right - right * weight;
            bottom[b + l] += right * weight;
        }
    }
}

KEEL_CLONES static void nearest_back(int64_t n, int64_t lanes, float *restrict dx, const float *restrict dy, const int32_t *restrict low) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t l = 0; l < lanes; l++) dx[low[i] * lanes + l] += dy[i * lanes + l];
}

static void resize_back(void *context, int64_t begin, int64_t end) {
    const resize_job *j = context;
    const keel_resize *at = j->at;
    const int64_t in_row = at->w * j->lanes, out_row = at->ow * j->lanes;
    for (int64_t p = begin; p < end; p++) {
        float *dx = j->y + p * at->h * in_row;
        memset(dx, 0, (size_t)(at->h * in_row) * sizeof(float));
        for (int64_t row = 0; row < at->oh; row++) {
            const float *dy = j->x + (p * at->oh + row) * out_row;
            const int64_t low = j->rows.low[row], high = j->rows.high[row];
            if (at->mode != KEEL_LINEAR) nearest_back(at->ow, j->lanes, dx + low * in_row, dy, j->columns.low);
            else linear_back(at->ow, j->lanes, dx + low * in_row, dx + high * in_row, j->rows.weight[row], dy, j->columns.low, j->columns.high, j->columns.weight);
        }
    }
}

void keel_resize_gradient_f32(const keel_resize *at, int64_t planes, int32_t lanes, void *memory, float *dx, const float *dy) {
    resize_job j = job_of(at, lanes, memory, dx, dy);
    keel_parallel(planes, 8192 / (at->oh * at->ow * lanes) + 1, resize_back, &j);
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_resize_##suffix(const keel_resize *at, int64_t planes, type *y, const type *x) {               \
        for (int64_t p = 0; p < planes; p++, x += at->h * at->w)                                                       \
            for (int64_t row = 0; row < at->oh; row++)                                                                 \
                for (int64_t column = 0; column < at->ow; column++) {                                                  \
                    const tap v = tap_of(at, row, at->h, at->oh), u = tap_of(at, column, at->w, at->ow);               \
                    *y++ = (type)((1 - v.weight) * (1 - u.weight) * x[v.low * at->w + u.low] +                         \
                                  (1 - v.weight) * u.weight * x[v.low * at->w + u.high] +                              \
                                  v.weight * (1 - u.weight) * x[v.high * at->w + u.low] +                              \
                                  v.weight * u.weight * x[v.high * at->w + u.high]);                                   \
                }                                                                                                      \
    }                                                                                                                  \
    void keel_reference_resize_gradient_##suffix(const keel_resize *at, int64_t planes, type *dx, const type *dy) {    \
        memset(dx, 0, (size_t)(planes * at->h * at->w) * sizeof(type));                                                \
        for (int64_t p = 0; p < planes; p++, dx += at->h * at->w)                                                      \
            for (int64_t row = 0; row < at->oh; row++)                                                                 \
                for (int64_t column = 0; column < at->ow; column++, dy++) {                                            \
                    const tap v = tap_of(at, row, at->h, at->oh), u = tap_of(at, column, at->w, at->ow);               \
                    dx[v.low * at->w + u.low] += (type)((1 - v.weight) * (1 - u.weight) * *dy);                        \
                    dx[v.low * at->w + u.high] += (type)((1 - v.weight) * u.weight * *dy);                             \
                    dx[v.high * at->w + u.low] += (type)(v.weight * (1 - u.weight) * *dy);                             \
                    dx[v.high * at->w + u.high] += (type)(v.weight * u.weight * *dy);                                  \
                }                                                                                                      \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
