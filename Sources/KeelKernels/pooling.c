#include "include/image.h"
#include "include/parallel.h"
#include "simd.h"

typedef struct {
    const keel_window *at;
    int32_t lanes, counts_padding;
    float *y;
    int32_t *where;
    const float *x;
    const int32_t *seen;
} pool_job;

static int64_t grain(const keel_window *at, int32_t lanes) { return 16384 / (at->h * at->w * lanes + 1) + 1; }

KEEL_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
KEEL_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

#define MAX_LANES 16

// `lanes` neighbours of the `step` that lie side by side.
KEEL_CLONES static void max_plane(const keel_window *at, int64_t lanes, int64_t step, float *restrict y, int32_t *restrict where, const float *restrict x) {
    for (int64_t oy = 0; oy < at->oh; oy++) {
        const int64_t y0 = oy * at->stride_h - at->top, first_y = larger(0, y0), last_y = smaller(at->h, y0 + at->kernel_h);
        for (int64_t ox = 0; ox < at->ow; ox++) {
            const int64_t x0 = ox * at->stride_w - at->left, first_x = larger(0, x0), last_x = smaller(at->w, x0 + at->kernel_w);
            float best[MAX_LANES];
            int32_t place[MAX_LANES];
            const int32_t first = (int32_t)(first_y * at->w + first_x);
            for (int64_t l = 0; l < lanes; l++) {
                best[l] = x[first * step + l];
                place[l] = first;
            }
            for (int64_t iy = first_y; iy < last_y; iy++)
                for (int64_t ix = first_x; ix < last_x; ix++) {
                    const int32_t i = (int32_t)(iy * at->w + ix);
                    for (int64_t l = 0; l < lanes; l++) {
                        const float t = x[i * step + l];
                        const bool wins = t > best[l] || (t != t && best[l] == best[l]);
                        best[l] = wins ? t : best[l];
                        place[l] = wins ? i : place[l];
                    }
                }
            const int64_t o = (oy * at->ow + ox) * step;
            for (int64_t l = 0; l < lanes; l++) {
                y[o + l] = best[l];
                where[o + l] = place[l];
            }
        }
    }
}

// The same without the places: `lanes` is a constant where it is inlined, so that the best numbers stay in registers.
KEEL_INLINE void max_each(int64_t lanes, const keel_window *at, int64_t step, float *restrict y, const float *restrict x) {
    for (int64_t oy = 0; oy < at->oh; oy++) {
        const int64_t y0 = oy * at->stride_h - at->top, first_y = larger(0, y0), last_y = smaller(at->h, y0 + at->kernel_h);
        for (int64_t ox = 0; ox < at->ow; ox++) {
            const int64_t x0 = ox * at->stride_w - at->left, first_x = larger(0, x0), last_x = smaller(at->w, x0 + at->kernel_w);
            float best[MAX_LANES];
            for (int64_t l = 0; l < lanes; l++) best[l] = x[(first_y * at->w + first_x) * step + l];
            for (int64_t iy = first_y; iy < last_y; iy++)
                for (int64_t ix = first_x; ix < last_x; ix++)
                    for (int64_t l = 0; l < lanes; l++) {
                        const float t = x[(iy * at->w + ix) * step + l];
                        best[l] = t > best[l] || t != t ? t : best[l];
                    }
            for (int64_t l = 0; l < lanes; l++) y[(oy * at->ow + ox) * step + l] = best[l];
        }
    }
}

KEEL_CLONES static void max_plane_alone(const keel_window *at, int64_t lanes, int64_t step, float *restrict y, const float *restrict x) {
    switch (lanes) {
    case 16: max_each(16, at, step, y, x); break;
    case 8: max_each(8, at, step, y, x); break;
    case 1: max_each(1, at, step, y, x); break;
    default: max_each(lanes, at, step, y, x);
    }
}

static void max_planes_alone(void *context, int64_t begin, int64_t end) {
    const pool_job *j = context;
    const int64_t in_plane = j->at->h * j->at->w * j->lanes, out_plane = j->at->oh * j->at->ow * j->lanes;
    for (int64_t p = begin; p < end; p++)
        for (int64_t l = 0; l < j->lanes; l += MAX_LANES)
            max_plane_alone(j->at, smaller(j->lanes - l, MAX_LANES), j->lanes, j->y + p * out_plane + l, j->x + p * in_plane + l);
}

static void max_planes(void *context, int64_t begin, int64_t end) {
    const pool_job *j = context;
    const int64_t in_plane = j->at->h * j->at->w * j->lanes, out_plane = j->at->oh * j->at->ow * j->lanes;
    for (int64_t p = begin; p < end; p++)
        for (int64_t l = 0; l < j->lanes; l += MAX_LANES)
            max_plane(j->at, smaller(j->lanes - l, MAX_LANES), j->lanes, j->y + p * out_plane + l, j->where + p * out_plane + l,
                      j->x + p * in_plane + l);
}

void keel_max_pool_f32(const keel_window *at, int64_t planes, int32_t lanes, float *y, int32_t *where, const float *x) {
    pool_job j = {at, lanes, 0, y, where, x, 0};
    keel_parallel(planes, grain(at, lanes), where ? max_planes : max_planes_alone, &j);
}

static void max_gradient_planes(void *context, int64_t begin, int64_t end) {
    const pool_job *j = context;
    const int64_t lanes = j->lanes, in_plane = j->at->h * j->at->w * lanes, out_plane = j->at->oh * j->at->ow * lanes;
    for (int64_t p = begin; p < end; p++) {
        float *restrict dx = j->y + p * in_plane;
        const float *restrict dy = j->x + p * out_plane;
        const int32_t *restrict seen = j->seen + p * out_plane;
        memset(dx, 0, (size_t)in_plane * sizeof(float));
        for (int64_t o = 0; o < out_plane; o += lanes)
            for (int64_t l = 0; l < lanes; l++) dx[seen[o + l] * lanes + l] += dy[o + l];
    }
}

void keel_max_pool_gradient_f32(const keel_window *at, int64_t planes, int32_t lanes, float *dx, const float *dy, const int32_t *where) {
    pool_job j = {at, lanes, 0, dx, 0, dy, where};
    keel_parallel(planes, grain(at, lanes), max_gradient_planes, &j);
}

static void pick_planes(void *context, int64_t begin, int64_t end) {
    const pool_job *j = context;
    const int64_t lanes = j->lanes, in_plane = j->at->h * j->at->w * lanes, out_plane = j->at->oh * j->at->ow * lanes;
    for (int64_t p = begin; p < end; p++)
        for (int64_t o = 0; o < out_plane; o += lanes)
            for (int64_t l = 0; l < lanes; l++)
                j->y[p * out_plane + o + l] = j->x[p * in_plane + j->seen[p * out_plane + o + l] * lanes + l];
}

void keel_max_pool_pick_f32(const keel_window *at, int64_t planes, int32_t lanes, float *y, const float *x, const int32_t *where) {
    pool_job j = {at, lanes, 0, y, 0, x, where};
    keel_parallel(planes, grain(at, lanes), pick_planes, &j);
}

KEEL_CLONES static void average_plane(const keel_window *at, int64_t lanes, int64_t step, int32_t counts_padding, float *restrict y, const float *restrict x) {
    for (int64_t oy = 0; oy < at->oh; oy++) {
        const int64_t y0 = oy * at->stride_h - at->top, first_y = larger(0, y0), last_y = smaller(at->h, y0 + at->kernel_h);
        for (int64_t ox = 0; ox < at->ow; ox++) {
            const int64_t x0 = ox * at->stride_w - at->left, first_x = larger(0, x0), last_x = smaller(at->w, x0 + at->kernel_w);
            const int64_t count = counts_padding ? at->kernel_h * at->kernel_w : (last_y - first_y) * (last_x - first_x);
            float sum[MAX_LANES] = {0};
            for (int64_t iy = first_y; iy < last_y; iy++)
                for (int64_t ix = first_x; ix < last_x; ix++)
                    for (int64_t l = 0; l < lanes; l++) sum[l] += x[(iy * at->w + ix) * step + l];
            for (int64_t l = 0; l < lanes; l++) y[(oy * at->ow + ox) * step + l] = sum[l] / (float)count;
        }
    }
}

static void average_planes(void *context, int64_t begin, int64_t end) {
    const pool_job *j = context;
    const int64_t in_plane = j->at->h * j->at->w * j->lanes, out_plane = j->at->oh * j->at->ow * j->lanes;
    for (int64_t p = begin; p < end; p++)
        for (int64_t l = 0; l < j->lanes; l += MAX_LANES)
            average_plane(j->at, smaller(j->lanes - l, MAX_LANES), j->lanes, j->counts_padding, j->y + p * out_plane + l, j->x + p * in_plane + l);
}

void keel_average_pool_f32(const keel_window *at, int64_t planes, int32_t lanes, int32_t counts_padding, float *y, const float *x) {
    pool_job j = {at, lanes, counts_padding, y, 0, x, 0};
    keel_parallel(planes, grain(at, lanes), average_planes, &j);
}

KEEL_CLONES static void average_gradient_plane(const keel_window *at, int64_t lanes, int32_t counts_padding, float *restrict dx, const float *restrict dy) {
    memset(dx, 0, (size_t)(at->h * at->w * lanes) * sizeof(float));
    for (int64_t oy = 0; oy < at->oh; oy++) {
        const int64_t y0 = oy * at->stride_h - at->top, first_y = larger(0, y0), last_y = smaller(at->h, y0 + at->kernel_h);
        for (int64_t ox = 0; ox < at->ow; ox++) {
            const int64_t x0 = ox * at->stride_w - at->left, first_x = larger(0, x0), last_x = smaller(at->w, x0 + at->kernel_w);
            const int64_t count = counts_padding ? at->kernel_h * at->kernel_w : (last_y - first_y) * (last_x - first_x);
            const float share = 1.0f / (float)count;
            for (int64_t iy = first_y; iy < last_y; iy++)
                for (int64_t ix = first_x; ix < last_x; ix++)
                    for (int64_t l = 0; l < lanes; l++) dx[(iy * at->w + ix) * lanes + l] += dy[(oy * at->ow + ox) * lanes + l] * share;
        }
    }
}

static void average_gradient_planes(void *context, int64_t begin, int64_t end) {
    const pool_job *j = context;
    const int64_t in_plane = j->at->h * j->at->w * j->lanes, out_plane = j->at->oh * j->at->ow * j->lanes;
    for (int64_t p = begin; p < end; p++)
        average_gradient_plane(j->at, j->lanes, j->counts_padding, j->y + p * in_plane, j->x + p * out_plane);
}

void keel_average_pool_gradient_f32(const keel_window *at, int64_t planes, int32_t lanes, int32_t counts_padding, float *dx, const float *dy) {
    pool_job j = {at, lanes, counts_padding, dx, 0, dy, 0};
    keel_parallel(planes, grain(at, lanes), average_gradient_planes, &j);
}
