#include "winograd_tiles.h"
#include "include/parallel.h"

// Transformed tiles of one block, in bytes: enough for long products, little enough to stay in a second-level cache.
#define BLOCK_BYTES (512 << 10)
// Filters are streamed through once a block: where they are large, so are the blocks.
#define FILTER_SHARE 2
// Tiles that are summed up before the sums go back to memory.
#define GRADIENT_TILES 96

int32_t keel_winograd_is_fast(void) {
#ifdef __x86_64__
    return __builtin_cpu_supports("x86-64-v3") != 0;
#else
    return 1;
#endif
}

int32_t keel_vector_lanes(void) { return keel_is_wide() ? 16 : 8; }

typedef struct {
    const keel_winograd *at;
    keel_winograd_pass pass;
    keel_tiles tiles;
    keel_side x, y;
    float *out;
    const float *in, *dy, *weight;
    keel_conv_end end;
    /// Tiles of a block, blocks, and slices of them, each with v and m of its own.
    int64_t block, blocks, slices;
    float *u, *v, *m;
    int64_t u_stride, v_stride, m_stride;
    /// The block at hand.
    int64_t first, last;
} job;

/// Up to six tiles times `width` panels of 16 outputs: m[tile][16] = Σ v[in / 16][tile][16] u[in][16].
KEEL_INLINE void multiply_tile(int rows, int width, int64_t in, int64_t v_panel, int64_t u_panel, int64_t m_panel, float *m, const float *v, const float *u, keel_ahead ahead) {
    lanes sum[TILE_ROWS][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int w = 0; w < width; w++) sum[r][w] = (lanes){0};
    for (int64_t c = 0; c < in; c += LANES, v += v_panel)
        for (int64_t l = 0; l < LANES; l++, u += LANES) {
            lanes right[TILE_WIDTH];
            keel_ask(width, &ahead);
#pragma clang loop unroll(full)
            for (int w = 0; w < width; w++) right[w] = *(const lanes *)(u + w * u_panel);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) {
                const float left = v[r * LANES + l];
#pragma clang loop unroll(full)
                for (int w = 0; w < width; w++) sum[r][w] += left * right[w];
            }
        }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int w = 0; w < width; w++) *(lanes *)(m + w * m_panel + r * LANES) = sum[r][w];
}

KEEL_INLINE void multiply_panels(int width, int64_t in, int64_t count, int64_t v_panel, int64_t m_panel, float *m, const float *v, const float *u, const float *next) {
    const int64_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
    int64_t t = 0;
#define AHEAD keel_share(next, u, in, width * LANES, t / TILE_ROWS, tiles)
    for (; t + TILE_ROWS <= count; t += TILE_ROWS)
        multiply_tile(TILE_ROWS, width, in, v_panel, in * LANES, m_panel, m + t * LANES, v + t * LANES, u, AHEAD);
    switch (count - t) {
#define CASE(n) case n: multiply_tile(n, width, in, v_panel, in * LANES, m_panel, m + t * LANES, v + t * LANES, u, AHEAD); break;
        KEEL_TILE_CASES
    }
}

KEEL_CLONES static void multiply_narrow(int64_t in, int64_t count, int64_t v_panel, float *m, const float *v, const float *u, const float *next) {
    multiply_panels(1, in, count, v_panel, 0, m, v, u, next);
}

KEEL_WIDE static void multiply_wide(int64_t in, int64_t count, int64_t v_panel, int64_t m_panel, float *m, const float *v, const float *u, const float *next) {
    multiply_panels(TILE_WIDTH, in, count, v_panel, m_panel, m, v, u, next);
}

static void multiply(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t count = j->last - j->first, panel = j->block * LANES, in = j->at->in;
    const int64_t width = keel_is_wide() && j->at->out % (TILE_WIDTH * LANES) == 0 ? TILE_WIDTH : 1, panels = j->at->out / LANES / width;
    for (int64_t item = begin; item < end; item++) {
        const int64_t point = item / panels, first = item % panels * width;
        float *m = j->m + point * j->m_stride + first * panel;
        const float *v = j->v + point * j->v_stride, *u = j->u + point * j->u_stride + first * in * LANES;
        // The next panel, of the next point if this one's were all.
        const float *next = item + 1 == POINTS * panels ? 0 : first + width < panels * width ? u + width * in * LANES : j->u + (point + 1) * j->u_stride;
        if (width == 1) multiply_narrow(in, count, panel, m, v, u, next);
        else multiply_wide(in, count, panel, panel, m, v, u, next);
    }
}

static void spread(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t g = begin; g < end; g++)
        keel_winograd_spread_x(j->at, j->x, g * LANES, j->first, j->last, j->v_stride, j->v + g * j->block * LANES, j->in);
}

static void gather(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t g = begin; g < end; g++)
        keel_winograd_gather_y(j->at, j->y, g * LANES, j->first, j->last, j->m_stride, j->out, j->m + g * j->block * LANES, &j->end);
}

static void spread_filters(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t g = begin; g < end; g++)
        keel_winograd_spread_filters(j->at, j->pass, g * LANES, j->u_stride, j->u + g * j->at->in * LANES, j->weight);
}

/// Where there are many blocks a thread does whole ones; where there are few, the threads share each.
static void slice(void *context, int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++) {
        job j = *(const job *)context;
        j.v += s * POINTS * j.v_stride;
        j.m += s * POINTS * j.m_stride;
        for (int64_t b = j.blocks * s / j.slices; b < j.blocks * (s + 1) / j.slices; b++) {
            j.first = b * j.block;
            j.last = least(j.first + j.block, j.tiles.all);
            keel_parallel(j.at->in / LANES, 1, spread, &j);
            const int64_t width = keel_is_wide() && j.at->out % (TILE_WIDTH * LANES) == 0 ? TILE_WIDTH : 1;
            keel_parallel(POINTS * (j.at->out / LANES / width), 1, multiply, &j);
            keel_parallel(j.at->out / LANES, 1, gather, &j);
        }
    }
}

static job plan(const keel_winograd *at) {
    job j = {.at = at, .tiles = keel_tiles_of(at)};
    j.x = (keel_side){at->h, at->w, at->in, at->in_lanes};
    j.y = (keel_side){at->oh, at->ow, at->out, at->out_lanes};
    const int64_t bytes = POINTS * (at->in + at->out) * 4, filters = POINTS * at->in * at->out * 4;
    const int64_t wanted = filters / FILTER_SHARE > BLOCK_BYTES ? filters / FILTER_SHARE : BLOCK_BYTES;
    int64_t most = wanted / bytes / TILE_ROWS * TILE_ROWS;
    if (most < TILE_ROWS) most = TILE_ROWS;
    const int64_t threads = keel_thread_count();
    j.blocks = (j.tiles.all + most - 1) / most;
    j.slices = j.blocks >= threads ? threads : 1;
    // Blocks of one size, as many for each slice.
    j.blocks = (j.blocks + j.slices - 1) / j.slices * j.slices;
    j.block = (j.tiles.all + j.blocks - 1) / j.blocks;
    j.block = (j.block + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    j.blocks = (j.tiles.all + j.block - 1) / j.block;
    j.u_stride = at->in * at->out + LANES;
    j.v_stride = keel_point_stride(at->in, j.block);
    j.m_stride = keel_point_stride(at->out, j.block);
    return j;
}

int64_t keel_winograd_filter_count(const keel_winograd *at) { return POINTS * (at->in * at->out + LANES); }

void keel_winograd_filters_f32(const keel_winograd *at, keel_winograd_pass pass, float *filters, const float *weight) {
    job j = {.at = at, .pass = pass, .weight = weight, .u = filters, .u_stride = at->in * at->out + LANES};
    keel_parallel(at->out / LANES, 1, spread_filters, &j);
}

int64_t keel_winograd_scratch(const keel_winograd *at) {
    const job j = plan(at);
    return POINTS * j.slices * (j.v_stride + j.m_stride);
}

void keel_winograd_f32(const keel_winograd *at, float *y, const float *x, const float *filters, keel_conv_end end, float *scratch) {
    job j = plan(at);
    j.out = y;
    j.in = x;
    j.end = end;
    j.u = (float *)filters;
    j.v = scratch;
    j.m = j.v + POINTS * j.slices * j.v_stride;
    keel_parallel(j.slices, 1, slice, &j);
}

// The gradient of the weights: u[in][out] += Σ over tiles of v[tile][in] m[tile][out], for each point.

KEEL_INLINE void sum_tile(int rows, int width, bool adds, int64_t count, int64_t m_panel, int64_t out, float *u, const float *v, const float *m) {
    lanes sum[8][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int w = 0; w < width; w++) sum[r][w] = (lanes){0};
    for (int64_t t = 0; t < count; t++, v += LANES, m += LANES) {
        lanes right[TILE_WIDTH];
#pragma clang loop unroll(full)
        for (int w = 0; w < width; w++) right[w] = *(const lanes *)(m + w * m_panel);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            const float left = v[r];
#pragma clang loop unroll(full)
            for (int w = 0; w < width; w++) sum[r][w] += left * right[w];
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int w = 0; w < width; w++) {
            lanes *to = (lanes *)(u + r * out + w * LANES);
            *to = adds ? *to + sum[r][w] : sum[r][w];
        }
}

/// Four inputs by sixteen outputs fill the registers of AVX2; eight by 32 those of AVX-512.
KEEL_CLONES static void sum_narrow(bool adds, int64_t count, int64_t m_panel, int64_t out, float *u, const float *v, const float *m) {
    for (int64_t k = 0; k < out; k += LANES, m += m_panel)
        for (int r = 0; r < LANES; r += 4) sum_tile(4, 1, adds, count, m_panel, out, u + r * out + k, v + r, m);
}

KEEL_WIDE static void sum_wide(bool adds, int64_t count, int64_t m_panel, int64_t out, float *u, const float *v, const float *m) {
    for (int64_t k = 0; k < out; k += 2 * LANES, m += 2 * m_panel)
        for (int r = 0; r < LANES; r += 8) sum_tile(8, 2, adds, count, m_panel, out, u + r * out + k, v + r, m);
}

static void sum(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t count = j->last - j->first, panel = j->block * LANES, out = j->at->out, panels = j->at->in / LANES;
    const bool wide = keel_is_wide() && out % (2 * LANES) == 0;
    for (int64_t item = begin; item < end; item++) {
        const int64_t point = item / panels, g = item % panels;
        float *u = j->u + point * j->u_stride + g * LANES * out;
        const float *v = j->v + point * j->v_stride + g * panel, *m = j->m + point * j->m_stride;
        if (wide) sum_wide(j->first > 0, count, panel, out, u, v, m);
        else sum_narrow(j->first > 0, count, panel, out, u, v, m);
    }
}

static void spread_both(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    const int64_t panels = j->at->in / LANES, panel = j->block * LANES;
    for (int64_t g = begin; g < end; g++) {
        if (g < panels) keel_winograd_spread_x(j->at, j->x, g * LANES, j->first, j->last, j->v_stride, j->v + g * panel, j->in);
        else keel_winograd_spread_dy(j->at, j->y, (g - panels) * LANES, j->first, j->last, j->m_stride, j->m + (g - panels) * panel, j->dy);
    }
}

static void gather_filters(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t g = begin; g < end; g++) keel_winograd_gather_filters(j->at, g * LANES, j->u_stride, j->out, j->u);
}

static job plan_gradient(const keel_winograd *at) {
    job j = {.at = at, .tiles = keel_tiles_of(at)};
    j.x = (keel_side){at->h, at->w, at->in, at->in_lanes};
    j.y = (keel_side){at->oh, at->ow, at->out, at->out_lanes};
    j.blocks = (j.tiles.all + GRADIENT_TILES - 1) / GRADIENT_TILES;
    j.block = (j.tiles.all + j.blocks - 1) / j.blocks;
    j.u_stride = at->in * at->out + LANES;
    j.v_stride = keel_point_stride(at->in, j.block);
    j.m_stride = keel_point_stride(at->out, j.block);
    return j;
}

int64_t keel_winograd_weight_gradient_scratch(const keel_winograd *at) {
    const job j = plan_gradient(at);
    return POINTS * (j.u_stride + j.v_stride + j.m_stride);
}

void keel_winograd_weight_gradient_f32(const keel_winograd *at, float *dweight, const float *x, const float *dy, float *scratch) {
    job j = plan_gradient(at);
    j.out = dweight;
    j.in = x;
    j.dy = dy;
    j.u = scratch;
    j.v = j.u + POINTS * j.u_stride;
    j.m = j.v + POINTS * j.v_stride;
    for (int64_t b = 0; b < j.blocks; b++) {
        j.first = b * j.block;
        j.last = least(j.first + j.block, j.tiles.all);
        if (j.first >= j.last) break;
        keel_parallel((at->in + at->out) / LANES, 1, spread_both, &j);
        keel_parallel(POINTS * (at->in / LANES), 1, sum, &j);
    }
    keel_parallel(at->out / LANES, 1, gather_filters, &j);
}
