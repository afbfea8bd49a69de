#include "include/adaptive_pool.h"
#include "include/parallel.h"
#include "simd.h"

#define LANES 16

typedef struct {
    int64_t lanes, h, w, oh, ow;
    float *y;
    int32_t *where;
    const float *x;
} adaptive_job;

KEEL_INLINE int64_t first_of(int64_t i, int64_t size, int64_t windows) { return i * size / windows; }
KEEL_INLINE int64_t end_of(int64_t i, int64_t size, int64_t windows) { return ((i + 1) * size + windows - 1) / windows; }

// `lanes` neighbours of the j->lanes that lie side by side.
KEEL_CLONES static void max_plane(const adaptive_job *j, int64_t lanes, float *restrict y, int32_t *restrict where, const float *restrict x) {
    const int64_t step = j->lanes;
    for (int64_t oy = 0; oy < j->oh; oy++)
        for (int64_t ox = 0; ox < j->ow; ox++) {
            const int64_t top = first_of(oy, j->h, j->oh), bottom = end_of(oy, j->h, j->oh);
            const int64_t left = first_of(ox, j->w, j->ow), right = end_of(ox, j->w, j->ow);
            float best[LANES];
            int32_t place[LANES];
            const int32_t first = (int32_t)(top * j->w + left);
            for (int64_t l = 0; l < lanes; l++) {
                best[l] = x[first * step + l];
                place[l] = first;
            }
            for (int64_t iy = top; iy < bottom; iy++)
                for (int64_t ix = left; ix < right; ix++) {
                    const int32_t i = (int32_t)(iy * j->w + ix);
                    for (int64_t l = 0; l < lanes; l++) {
                        const float t = x[i * step + l];
                        const bool wins = t > best[l] || (t != t && best[l] == best[l]);
                        best[l] = wins ? t : best[l];
                        place[l] = wins ? i : place[l];
                    }
                }
            const int64_t o = (oy * j->ow + ox) * step;
            for (int64_t l = 0; l < lanes; l++) {
                y[o + l] = best[l];
                where[o + l] = place[l];
            }
        }
}

static void max_planes(void *context, int64_t begin, int64_t end) {
    const adaptive_job *j = context;
    const int64_t in = j->h * j->w * j->lanes, out = j->oh * j->ow * j->lanes;
    for (int64_t p = begin; p < end; p++)
        for (int64_t l = 0; l < j->lanes; l += LANES)
            max_plane(j, j->lanes - l < LANES ? j->lanes - l : LANES, j->y + p * out + l, j->where + p * out + l, j->x + p * in + l);
}

void keel_adaptive_max_pool_f32(int64_t planes, int32_t lanes, int64_t h, int64_t w, int64_t oh, int64_t ow, float *y, int32_t *where, const float *x) {
    adaptive_job j = {lanes, h, w, oh, ow, y, where, x};
    keel_parallel(planes, 16384 / (h * w * lanes + 1) + 1, max_planes, &j);
}

#define REFERENCE(type, suffix)                                                                                        \
    void keel_reference_adaptive_max_pool_##suffix(int64_t planes, int64_t h, int64_t w, int64_t oh, int64_t ow,       \
                                                   type *y, int32_t *where, const type *x) {                           \
        for (int64_t p = 0; p < planes; p++, x += h * w)                                                               \
            for (int64_t o = 0; o < oh * ow; o++, y++, where++) {                                                      \
                *where = -1;                                                                                           \
                for (int64_t i = 0; i < h * w; i++) {                                                                  \
                    const int64_t iy = i / w, ix = i % w, oy = o / ow, ox = o % ow;                                    \
                    if (iy < first_of(oy, h, oh) || iy >= end_of(oy, h, oh)) continue;                                 \
                    if (ix < first_of(ox, w, ow) || ix >= end_of(ox, w, ow)) continue;                                 \
                    if (*where >= 0 && !(*y == *y && (x[i] > *y || x[i] != x[i]))) continue;                           \
                    *y = x[i];                                                                                         \
                    *where = (int32_t)i;                                                                               \
                }                                                                                                      \
            }                                                                                                          \
    }
REFERENCE(float, f32)
REFERENCE(double, f64)
