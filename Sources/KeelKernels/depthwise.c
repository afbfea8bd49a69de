#include "include/depthwise.h"
#include "include/parallel.h"
#include "simd.h"

/// Eight channels.
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

#define WIDEST KEEL_DEPTHWISE_WIDEST

typedef struct {
    const keel_window *at;
    int64_t lanes;
    float *dweight;
    const float *x, *dy;
} job;

KEEL_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
KEEL_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
/// ⌈a / b⌉ for a that may be negative.
KEEL_INLINE int64_t steps(int64_t a, int64_t b) { return a <= 0 ? 0 : (a + b - 1) / b; }

/// sum[q] += Σ dy[o] * x[o * stride - left + q] along one row. The width is a constant where this is inlined: the sums stay in registers.
KEEL_INLINE void row(int width, const keel_window *at, int64_t lanes, eight *sum, const float *x, const float *dy) {
    const int64_t stride = at->stride_w, left = at->left;
    // Between these every column of the kernel lies within the picture.
    const int64_t first = least(steps(left, stride), at->ow), last = most(first, least((at->w + left - width) / stride + 1, at->ow));
    eight s[WIDEST];
#pragma clang loop unroll(full)
    for (int q = 0; q < width; q++) s[q] = sum[q];
    for (int64_t o = first; o < last; o++) {
        const eight d = *(const eight *)(dy + o * lanes);
        const float *from = x + (o * stride - left) * lanes;
#pragma clang loop unroll(full)
        for (int q = 0; q < width; q++) s[q] += d * *(const eight *)(from + q * lanes);
    }
#pragma clang loop unroll(full)
    for (int q = 0; q < width; q++) sum[q] = s[q];
    for (int64_t o = 0; o < at->ow; o++) {
        if (o == first) o = last;
        if (o >= at->ow) break;
        const eight d = *(const eight *)(dy + o * lanes);
        for (int q = 0; q < width; q++) {
            const int64_t column = o * stride - left + q;
            if (column >= 0 && column < at->w) sum[q] += d * *(const eight *)(x + column * lanes);
        }
    }
}

KEEL_CLONES static void rows(const keel_window *at, int64_t lanes, eight sum[][WIDEST], const float *x, const float *dy) {
    for (int64_t o = 0; o < at->oh; o++, dy += at->ow * lanes)
        for (int64_t r = 0; r < at->kernel_h; r++) {
            const int64_t line = o * at->stride_h - at->top + r;
            if (line < 0 || line >= at->h) continue;
            const float *from = x + line * at->w * lanes;
            switch (at->kernel_w) {
#define CASE(n) case n: row(n, at, lanes, sum[r], from, dy); break;
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
#undef CASE
            }
        }
}

static void gradient(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const keel_window *at = j->at;
    const int64_t blocks = (at->c + j->lanes - 1) / j->lanes;
    for (int64_t g = begin; g < end; g++) {
        const int64_t channel = g * 8, block = channel / j->lanes, lane = channel % j->lanes;
        double total[WIDEST * WIDEST][8] = {0};
        for (int64_t image = 0; image < at->n; image++) {
            eight sum[WIDEST][WIDEST] = {0};
            rows(at, j->lanes, sum, j->x + (image * blocks + block) * at->h * at->w * j->lanes + lane,
                 j->dy + (image * blocks + block) * at->oh * at->ow * j->lanes + lane);
            for (int64_t r = 0; r < at->kernel_h; r++)
                for (int64_t q = 0; q < at->kernel_w; q++)
                    for (int l = 0; l < 8; l++) total[r * at->kernel_w + q][l] += sum[r][q][l];
        }
        const int64_t area = at->kernel_h * at->kernel_w;
        for (int64_t l = 0; l < 8 && channel + l < at->c; l++)
            for (int64_t i = 0; i < area; i++) j->dweight[(channel + l) * area + i] = (float)total[i][l];
    }
}

void keel_depthwise_weight_gradient_f32(const keel_window *at, int64_t lanes, float *dweight, const float *x, const float *dy) {
    job j = {at, lanes, dweight, x, dy};
    keel_parallel((at->c + 7) / 8, 1, gradient, &j);
}
