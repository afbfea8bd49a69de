#include "include/parallel.h"
#include "quantised_picture.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

// Winograd's F(2x2, 3x3) in whole numbers. x is within 255 of its zero, so V = B' x B within 1020; U = 4 G w G' of weights of 7 bits is whole and within 576;
// their sums over up to 2048 inputs fit 32 bits, and A' M A is four times the direct sum.

#define POINTS 16
/// Most inputs.
#define DEPTH 2048
/// The most tiles that are multiplied and transformed back at a time, on the stack.
#define FEW 24
/// Transformed tiles of a block, in bytes: they stay in the second-level cache. Each block reads all filters, so that few tiles don't make one.
#define BLOCK_BYTES (400 << 10)
#define LEAST_BLOCK 32

/// Sixteen channels.
typedef uint8_t bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef int16_t shorts __attribute__((vector_size(32), aligned(2), may_alias));
typedef int32_t whole __attribute__((vector_size(64), aligned(4), may_alias));

// With VNNI the direct sum, of which a register has twice as many products, was faster in every size.
int32_t keel_quantised_winograd_takes(keel_quantised_path path, const keel_window *at) {
    return path == KEEL_QUANTISED_AVX2 && at->groups == 1 && at->kernel_h == 3 && at->kernel_w == 3 && at->stride_h == 1 && at->stride_w == 1 &&
           at->dilation_h == 1 && at->dilation_w == 1 && at->c % LANES == 0 && at->k % LANES == 0 && at->c <= DEPTH;
}

/// A rule made from measurements on Zen 4, one thread, in cycles for each pair of channels. The direct sum takes 0.21 a position. Winograd's takes 0.48 a tile,
/// 4 for each channel's transform, which all pairs share, and what it takes to read 32 bytes of a filter: more where the filters leave the second-level
/// cache.
int32_t keel_quantised_winograd_is_faster(keel_quantised_path path, const keel_window *at) {
    if (!keel_quantised_winograd_takes(path, at)) return 0;
    const double tiles = (double)(at->n * ((at->oh + 1) / 2) * ((at->ow + 1) / 2)), direct = 0.212 * (double)(at->n * at->oh * at->ow);
    const double transforms = 4 * tiles * (1.0 / (double)at->c + 1.0 / (double)at->k), filter = at->c * at->k * 32 > 1 << 20 ? 1.5 : 0.3;
    return 0.48 * tiles + transforms + filter < direct;
}

typedef struct {
    const keel_window *at;
    keel_byte_picture picture;
    const uint8_t *q;
    int16_t *v;
    const int16_t *filters;
    const uint8_t *weight;
    keel_byte_columns columns;
    /// Tiles of a line, of an image, of all; first..<last are the block at hand, of which a point's begin so many numbers apart.
    int64_t across, area, tiles, first, last, point;
    /// Pieces of a block: few tiles each.
    int64_t pieces;
    /// Tiles of a block, blocks, and slices of them, each with v of its own.
    int64_t block, blocks, slices;
} job;

static job plan(const keel_window *at) {
    job j = {.at = at, .picture = keel_byte_picture_of(at), .across = (at->ow + 1) / 2};
    const int64_t down = (at->oh + 1) / 2;
    j.area = j.across * down;
    j.tiles = at->n * j.area;
    // Every tile is whole.
    j.picture.height = 2 * down + 2;
    j.picture.width = 2 * j.across + 2;
    const int64_t fitting = BLOCK_BYTES / (POINTS * at->c * 2), most = fitting > LEAST_BLOCK ? fitting : LEAST_BLOCK, threads = keel_thread_count();
    j.blocks = (j.tiles + most - 1) / most;
    // Where there are many blocks a thread does whole ones; where there are few, the threads share each. Blocks of one size, as many for each slice.
    j.slices = j.blocks >= threads ? threads : 1;
    j.blocks = (j.blocks + j.slices - 1) / j.slices * j.slices;
    j.block = j.blocks > 0 ? (j.tiles + j.blocks - 1) / j.blocks : 0;
    // Points lie no power of two apart, or all would compete for the same lines of the cache.
    j.point = j.block * at->c + 2 * LANES;
    return j;
}

static int64_t picture_bytes(const job *j) { return (j->at->n * j->picture.height * j->picture.width * j->picture.channels + 63) / 64 * 64; }

int64_t keel_quantised_winograd_scratch(const keel_window *at) {
    const job j = plan(at);
    return picture_bytes(&j) + j.slices * POINTS * j.point * 2;
}

int64_t keel_quantised_winograd_filter_bytes(const keel_window *at) { return POINTS * at->c * at->k * 2; }

/// 2 G, 4 from 3.
static void spread_three(const int *g, int step, int *o, int to) {
    o[0] = 2 * g[0];
    o[to] = g[0] + g[step] + g[2 * step];
    o[2 * to] = g[0] - g[step] + g[2 * step];
    o[3 * to] = 2 * g[2 * step];
}

/// Filters of panels begin..<end, each [point][in / 2][16][2].
static void spread_filters(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t in = j->at->c;
    for (int64_t output = begin * LANES; output < end * LANES; output++)
        for (int64_t c = 0; c < in; c++) {
            int g[9], half[12], u[POINTS];
            for (int i = 0; i < 9; i++) g[i] = j->weight[(output * in + c) * 9 + i] - 128;
            for (int i = 0; i < 3; i++) spread_three(g + i, 3, half + i, 3);
            for (int i = 0; i < 4; i++) spread_three(half + 3 * i, 1, u + 4 * i, 1);
            int16_t *to = (int16_t *)j->filters + (output / LANES * POINTS * in + c / 2 * 2) * LANES + output % LANES * 2 + c % 2;
            for (int i = 0; i < POINTS; i++) to[i * in * LANES] = (int16_t)u[i];
        }
}

void keel_quantised_winograd_filters(const keel_window *at, int16_t *filters, const uint8_t *weight) {
    job j = {.at = at, .filters = filters, .weight = weight};
    keel_parallel(at->k / LANES, 1, spread_filters, &j);
}

/// B', 4 from 4.
KEEL_INLINE void spread_four(const shorts *d, int step, shorts *o, int to) {
    o[0] = d[0] - d[2 * step];
    o[to] = d[step] + d[2 * step];
    o[2 * to] = d[2 * step] - d[step];
    o[3 * to] = d[step] - d[3 * step];
}

/// Transforms tiles of the block: [point][tile][in].
KEEL_CLONES static void spread(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t in = j->at->c, line = j->picture.width * in;
    for (int64_t t = begin; t < end; t++) {
        const int64_t tile = j->first + t, image = tile / j->area, row = tile % j->area / j->across * 2, column = tile % j->area % j->across * 2;
        const uint8_t *from = j->q + (image * j->picture.height + row) * line + column * in;
        int16_t *to = j->v + t * in;
        for (int64_t c = 0; c < in; c += LANES) {
            shorts d[POINTS], half[POINTS], o[POINTS];
            for (int y = 0; y < 4; y++)
                for (int x = 0; x < 4; x++)
                    d[4 * y + x] = __builtin_convertvector(*(const bytes *)(from + y * line + x * in + c), shorts) - (int16_t)j->columns.scale.zero;
            for (int i = 0; i < 4; i++) spread_four(d + i, 4, half + i, 4);
            for (int i = 0; i < 4; i++) spread_four(half + 4 * i, 1, o + 4 * i, 1);
            for (int i = 0; i < POINTS; i++) *(shorts *)(to + i * j->point + c) = o[i];
        }
    }
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("arch=x86-64-v3")))

/// m[tile][16] = Σ v[tile][in] u[in / 2][16][2] for a few tiles and one panel.
AVX2 KEEL_INLINE void multiply_tile(int rows, int64_t in, int32_t *m, const int16_t *v, const int16_t *u) {
    __m256i s0[TILE_ROWS], s1[TILE_ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) s0[r] = s1[r] = _mm256_setzero_si256();
    for (int64_t c = 0; c < in; c += 2, u += 2 * LANES) {
        const __m256i right0 = _mm256_loadu_si256((const __m256i *)u), right1 = _mm256_loadu_si256((const __m256i *)(u + LANES));
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, v + r * in + c, sizeof pair);
            const __m256i left = _mm256_set1_epi32(pair);
            s0[r] = _mm256_add_epi32(s0[r], _mm256_madd_epi16(left, right0));
            s1[r] = _mm256_add_epi32(s1[r], _mm256_madd_epi16(left, right1));
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)(m + r * LANES), s0[r]);
        _mm256_storeu_si256((__m256i *)(m + r * LANES + 8), s1[r]);
    }
}

/// A', 2 from 4.
KEEL_INLINE void gather_two(const whole *m, int step, whole *o, int to) {
    o[0] = m[0] + m[step] + m[2 * step];
    o[to] = m[step] - m[2 * step] - m[3 * step];
}

/// Tiles first..<first + count of the block times one panel.
AVX2 static void few_tiles(const job *j, int64_t panel, int64_t first, int64_t count) {
    int32_t m[POINTS][FEW][LANES] __attribute__((aligned(64)));
    const int64_t in = j->at->c, channel = panel * LANES;
    const int16_t *u = j->filters + panel * POINTS * in * LANES;
    for (int point = 0; point < POINTS; point++, u += in * LANES) {
        const int16_t *v = j->v + point * j->point + first * in;
        for (int64_t t = 0; t < count; t += TILE_ROWS)
            switch (least(TILE_ROWS, count - t)) {
#define CASE(n) case n: multiply_tile(n, in, m[point][t], v + t * in, u); break;
                KEEL_TILE_CASES
#undef CASE
            }
    }
    const keel_byte_columns *b = &j->columns;
    const lanes scale = *(const lanes *)(b->end.scales + channel) * b->scale.scale;
    const keel_byte_place place = keel_byte_place_of(b, channel);
    const lanes bias = b->end.bias ? *(const lanes *)(b->end.bias + channel) : (lanes){0};
    for (int64_t t = 0; t < count; t++) {
        const int64_t tile = j->first + first + t, image = tile / j->area, row = tile % j->area / j->across * 2, column = tile % j->area % j->across * 2;
        whole d[POINTS], half[8], o[4];
        for (int i = 0; i < POINTS; i++) d[i] = *(const whole *)m[i][t];
        for (int i = 0; i < 4; i++) gather_two(d + i, 4, half + i, 4);
        for (int i = 0; i < 2; i++) gather_two(half + 4 * i, 1, o + 2 * i, 1);
        for (int i = 0; i < 4; i++) {
            const int64_t y = row + i / 2, x = column + i % 2;
            if (y >= j->at->oh || x >= j->at->ow) continue;
            lanes result = __builtin_convertvector(o[i] >> 2, lanes) * scale;
            result = result + bias;
            float results[LANES];
            *(lanes *)results = result;
            keel_finish_bytes(b, &place, results, image, y * j->at->ow + x);
        }
    }
}

/// Pieces are numbered by panels, and in each by tiles.
static void multiply(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t count = j->last - j->first;
    for (int64_t piece = begin; piece < end; piece++) {
        const int64_t part = piece % j->pieces, first = count * part / j->pieces;
        few_tiles(j, piece / j->pieces, first, count * (part + 1) / j->pieces - first);
    }
}
#else
static void multiply(void *context, int64_t begin, int64_t end) {}
#endif

static void slice(void *context, int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++) {
        job j = *(const job *)context;
        j.v += s * POINTS * j.point;
        for (int64_t b = j.blocks * s / j.slices; b < j.blocks * (s + 1) / j.slices; b++) {
            j.first = b * j.block;
            j.last = least(j.first + j.block, j.tiles);
            j.pieces = (j.last - j.first + FEW - 1) / FEW;
            keel_parallel(j.last - j.first, FEW, spread, &j);
            keel_parallel(j.at->k / LANES * j.pieces, 1, multiply, &j);
        }
    }
}

void keel_quantised_winograd(const keel_window *at, float *y, int64_t y_lanes, const float *x, int64_t x_lanes, keel_byte_scale scale, const int16_t *filters, const keel_quantised_end *end, uint8_t *scratch) {
    job j = plan(at);
    const int64_t area = at->oh * at->ow;
    j.columns = (keel_byte_columns){
        .outputs = at->k, .written = at->k, .scale = scale, .end = *end, .y = y, .lanes = y_lanes, .area = area, .image = (at->k + y_lanes - 1) / y_lanes * y_lanes * area};
    j.q = scratch;
    j.v = (int16_t *)(scratch + picture_bytes(&j));
    j.filters = filters;
    keel_quantise_picture(at, j.picture, scratch, x, x_lanes, scale);
    keel_parallel(j.slices, 1, slice, &j);
}
