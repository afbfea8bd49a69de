#include "include/patches.h"
#include "include/packed.h"
#include "include/parallel.h"
#include "panels.h"

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/// Positions that are gathered at a time, and the most numbers of each: as much as a second-level cache holds beside the panels.
#define POSITIONS 60
#define DEPTH 256
/// Rows of filters that are packed at a time.
#define PACKED_ROWS 144

typedef struct {
    const keel_window *at;
    int64_t in_lanes, out_lanes;
    float *y, *sums;
    const float *x, *filters;
    keel_conv_end end;
    /// Positions of a block, blocks, and parts that the panels are cut into.
    int64_t block, blocks, parts;
} job;

KEEL_INLINE int64_t patch_size(const keel_window *at) { return at->kernel_h * at->kernel_w * at->c; }

int64_t keel_patch_filter_count(const keel_window *at) { return patch_size(at) * at->k; }

int64_t keel_patch_scratch(const keel_window *at) { return at->n * at->oh * at->ow * at->k; }

typedef struct {
    const keel_window *at;
    float *filters;
    const float *weight;
    int64_t panel;
} packing;

static void pack_panels(void *context, int64_t item, int64_t last_item) {
    const packing *j = context;
    const int64_t c = j->at->c, taps = j->at->kernel_h * j->at->kernel_w, size = patch_size(j->at);
    float rows[PACKED_ROWS * PANEL] __attribute__((aligned(64)));
    for (; item < last_item; item++) {
        const int64_t begin = item * j->panel, count = least(j->panel, j->at->k - begin);
        float *const filters = j->filters + begin * size;
        // The weights' order is channel by channel; rows are packed so, and then put where their tap has them.
        for (int64_t from = 0; from < size; from += PACKED_ROWS) {
            const int64_t depth = least(PACKED_ROWS, size - from);
            keel_pack_f32(depth, count, rows, j->weight + begin * size + from, 1, size);
            for (int64_t r = 0; r < depth; r++)
                memcpy(filters + ((from + r) % taps * c + (from + r) / taps) * count, rows + r * count, (size_t)count * sizeof(float));
        }
    }
}

void keel_patch_filters_f32(const keel_window *at, float *filters, const float *weight) {
    packing j = {at, filters, weight, keel_panel_width(keel_is_wide())};
    keel_parallel((at->k + j.panel - 1) / j.panel, 1, pack_panels, &j);
}

/// Numbers from..<from + depth of the patches at some positions, each patch in a row: tap by tap, the inputs of each.
KEEL_CLONES static void gather_patches(const job *j, int64_t first, int64_t count, int64_t from, int64_t depth, float *rows, int64_t row) {
    const keel_window *at = j->at;
    const int64_t area = at->oh * at->ow, lanes = j->in_lanes, plane = lanes * at->h * at->w;
    for (int64_t r = 0; r < count; r++, rows += row) {
        const int64_t image = (first + r) / area, position = (first + r) % area;
        const int64_t top = position / at->ow * at->stride_h - at->top, left = position % at->ow * at->stride_w - at->left;
        int64_t tap = from / at->c, channel = from % at->c;
        for (int64_t p = 0; p < depth; tap++, channel = 0) {
            const int64_t h = top + tap / at->kernel_w * at->dilation_h, w = left + tap % at->kernel_w * at->dilation_w, end = least(depth, p + at->c - channel);
            if (h < 0 || h >= at->h || w < 0 || w >= at->w) {
                memset(rows + p, 0, (size_t)(end - p) * sizeof(float));
                p = end;
                continue;
            }
            // The next block of channels lies a plane on.
            const float *pixel = j->x + (image * at->c * at->h + h * lanes) * at->w + w * lanes + channel / lanes * plane;
            for (int64_t lane = channel % lanes; p < end; p += 8) {
                *(eight *)(rows + p) = *(const eight *)(pixel + lane);
                lane += 8;
                if (lane == lanes) lane = 0, pixel += plane;
            }
        }
    }
}

/// The sums of some positions and outputs as y has them, with what follows.
KEEL_CLONES static void finish(const job *j, int64_t first, int64_t last, int64_t begin, int64_t end) {
    const keel_window *at = j->at;
    const int64_t area = at->oh * at->ow, lanes = j->out_lanes;
    const eight low = (eight){0} + j->end.least, high = (eight){0} + j->end.most;
    for (int64_t position = first; position < last; position++) {
        int64_t place = (position / area * at->k + begin / lanes * lanes) * area + position % area * lanes;
        for (int64_t k = begin, lane = begin % lanes; k < end; k += 8) {
            eight sum = *(const eight *)(j->sums + position * at->k + k);
            if (j->end.bias) sum += *(const eight *)(j->end.bias + k);
            if (j->end.addend) sum += *(const eight *)(j->end.addend + place + lane);
            sum = CHOSEN(sum < low, low, sum);
            *(eight *)(j->y + place + lane) = CHOSEN(sum > high, high, sum);
            lane += 8;
            if (lane == lanes) lane = 0, place += lanes * area;
        }
    }
}

static void multiply(void *context, int64_t item, int64_t last_item) {
    const job *j = context;
    const keel_window *at = j->at;
    const bool is_wide = keel_is_wide();
    const int64_t panel = keel_panel_width(is_wide), panels = (at->k + panel - 1) / panel, size = patch_size(at);
    float rows[POSITIONS * (DEPTH + LANES)] __attribute__((aligned(64)));
    while (item < last_item) {
        // All parts of a block that are asked for, at once: its patches are gathered for all of them.
        const int64_t block = item / j->parts, upto = least(last_item, (block + 1) * j->parts);
        const int64_t first = block * j->block, last = least(first + j->block, at->n * at->oh * at->ow);
        const int64_t begin = panels * (item % j->parts) / j->parts * panel, end = least(panels * (upto - block * j->parts) / j->parts * panel, at->k);
        item = upto;
        if (first >= last || begin >= end) continue;
        for (int64_t from = 0; from < size; from += DEPTH) {
            const int64_t depth = least(DEPTH, size - from);
            keel_panel_product product = {.k = depth, .c_row = at->k, .a_row = keel_spread(depth), .a_column = 1, .stretches = 1, .adds = from > 0};
            gather_patches(j, first, last - first, from, depth, rows, product.a_row);
            for (int64_t k = begin; k < end; k += panel) {
                const int64_t count = least(panel, at->k - k);
                product.b_row = count;
                const int64_t next = k + panel;
                product.next = next < end ? j->filters + next * size + from * least(panel, at->k - next) : 0;
                keel_multiply_panel(is_wide, last - first, count, product, j->sums + first * at->k + k, rows, j->filters + k * size + from * count);
            }
        }
        finish(j, first, last, begin, end);
    }
}

void keel_patch_product_f32(const keel_window *at, int64_t in_lanes, int64_t out_lanes, float *y, const float *x, const float *filters, keel_conv_end end, float *scratch) {
    const int64_t positions = at->n * at->oh * at->ow, threads = keel_thread_count();
    job j = {.at = at, .in_lanes = in_lanes, .out_lanes = out_lanes, .y = y, .sums = scratch, .x = x, .filters = filters, .end = end};
    // Blocks of one size, of whole tiles.
    j.blocks = (positions + POSITIONS - 1) / POSITIONS;
    j.block = ((positions + j.blocks - 1) / j.blocks + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    j.parts = j.blocks % threads == 0 ? 1 : threads;
    keel_parallel(j.blocks * j.parts, 1, multiply, &j);
}
