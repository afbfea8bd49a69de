#include "include/moving.h"
#include "include/parallel.h"
#include "simd.h"

typedef struct {
    const keel_walk *walk;
    int32_t width;
    char *out;
    const char *in;
} copy_job;

KEEL_CLONES static void copy_row_4(int64_t n, uint32_t *restrict out, int64_t so, const uint32_t *restrict in, int64_t si) {
    const uint32_t only = *in;
    if (so == 1 && si == 0) for (int64_t i = 0; i < n; i++) out[i] = only;
    else if (so == 1) for (int64_t i = 0; i < n; i++) out[i] = in[i * si];
    else for (int64_t i = 0; i < n; i++) out[i * so] = in[i * si];
}

static void copy_row(int32_t width, int64_t n, char *restrict out, int64_t so, const char *restrict in, int64_t si) {
    if (so == 1 && si == 1) {
        memcpy(out, in, (size_t)(n * width));
        return;
    }
    switch (width) {
    case 1: for (int64_t i = 0; i < n; i++) out[i * so] = in[i * si]; break;
    case 2: {
        uint16_t *o = (uint16_t *)out;
        const uint16_t *x = (const uint16_t *)in;
        for (int64_t i = 0; i < n; i++) o[i * so] = x[i * si];
        break;
    }
    case 4: copy_row_4(n, (uint32_t *)out, so, (const uint32_t *)in, si); break;
    default: {
        uint64_t *o = (uint64_t *)out;
        const uint64_t *x = (const uint64_t *)in;
        for (int64_t i = 0; i < n; i++) o[i * so] = x[i * si];
    }
    }
}

static void copy_flat(void *context, int64_t begin, int64_t end) {
    const copy_job *j = context;
    const int64_t so = j->walk->strides[0][0], si = j->walk->strides[1][0];
    copy_row(j->width, end - begin, j->out + begin * so * j->width, so, j->in + begin * si * j->width, si);
}

static void copy_rows(void *context, int64_t begin, int64_t end) {
    const copy_job *j = context;
    const keel_walk *w = j->walk;
    const int32_t inner = w->rank - 1;
    int64_t offsets[KEEL_MAX_OPERANDS];
    for (int64_t row = begin; row < end; row++) {
        keel_walk_row(w, row, offsets);
        copy_row(j->width, w->shape[inner], j->out + offsets[0] * j->width, w->strides[0][inner], j->in + offsets[1] * j->width,
                 w->strides[1][inner]);
    }
}

// A transposition goes through square tiles, so that both sides use whole cache lines.
#define TILE 16

static void copy_transposed(void *context, int64_t begin, int64_t end) {
    const copy_job *j = context;
    const keel_walk *w = j->walk;
    const int64_t rows = w->shape[w->rank - 2], columns = w->shape[w->rank - 1];
    const int64_t so = w->strides[0][w->rank - 2], si = w->strides[1][w->rank - 1];
    const int64_t bands = (rows + TILE - 1) / TILE;
    keel_walk outer = *w;
    outer.rank = w->rank - 1;  // its innermost axis is the one of rows; the row index below skips it
    for (int64_t item = begin; item < end; item++) {
        int64_t offsets[KEEL_MAX_OPERANDS];
        keel_walk_row(&outer, item / bands, offsets);
        const int64_t row0 = (item % bands) * TILE, row1 = row0 + TILE < rows ? row0 + TILE : rows;
        uint32_t *out = (uint32_t *)j->out + offsets[0];
        const uint32_t *in = (const uint32_t *)j->in + offsets[1];
        for (int64_t column0 = 0; column0 < columns; column0 += TILE) {
            const int64_t column1 = column0 + TILE < columns ? column0 + TILE : columns;
            for (int64_t row = row0; row < row1; row++)
                for (int64_t column = column0; column < column1; column++) out[row * so + column] = in[row + column * si];
        }
    }
}

void keel_copy(int32_t width, const keel_walk *w, void *out, const void *in) {
    copy_job j = {w, width, out, in};
    const int32_t inner = w->rank - 1;
    const int64_t grain = 65536 / width;
    if (w->rank == 1) {
        keel_parallel(w->shape[0], grain, copy_flat, &j);
        return;
    }
    const int transposed = width == 4 && w->strides[0][inner] == 1 && w->strides[1][inner - 1] == 1 && w->strides[1][inner] != 1 &&
                           w->shape[inner] >= TILE && w->shape[inner - 1] >= TILE;
    const int64_t n = w->shape[inner] > 0 ? w->shape[inner] : 1;
    if (transposed) {
        keel_walk outer = *w;
        outer.rank = inner;
        const int64_t bands = (w->shape[inner - 1] + TILE - 1) / TILE;
        keel_parallel(keel_walk_rows(&outer) * bands, grain / (n * TILE) + 1, copy_transposed, &j);
    } else {
        keel_parallel(keel_walk_rows(w), grain / n + 1, copy_rows, &j);
    }
}

typedef struct {
    int32_t width;
    void *out;
    uint64_t value;
} fill_job;

static void fill(void *context, int64_t begin, int64_t end) {
    const fill_job *j = context;
    switch (j->width) {
    case 1: memset((char *)j->out + begin, (int)j->value, (size_t)(end - begin)); break;
    case 2: for (int64_t i = begin; i < end; i++) ((uint16_t *)j->out)[i] = (uint16_t)j->value; break;
    case 4:
        if ((uint32_t)j->value == 0) memset((uint32_t *)j->out + begin, 0, (size_t)(end - begin) * 4);
        else for (int64_t i = begin; i < end; i++) ((uint32_t *)j->out)[i] = (uint32_t)j->value;
        break;
    default: for (int64_t i = begin; i < end; i++) ((uint64_t *)j->out)[i] = j->value;
    }
}

void keel_fill(int32_t width, int64_t count, void *out, const void *value) {
    fill_job j = {width, out, 0};
    if (width == 1) j.value = *(const uint8_t *)value;
    else if (width == 2) j.value = *(const uint16_t *)value;
    else if (width == 4) j.value = *(const uint32_t *)value;
    else j.value = *(const uint64_t *)value;
    keel_parallel(count, 65536, fill, &j);
}

void keel_iota(int32_t is_64_bit, int64_t count, int64_t start, int64_t step, void *out) {
    if (is_64_bit) for (int64_t i = 0; i < count; i++) ((int64_t *)out)[i] = start + i * step;
    else for (int64_t i = 0; i < count; i++) ((int32_t *)out)[i] = (int32_t)(start + i * step);
}

typedef struct {
    int64_t c, s;
    int32_t block;
    float *out;
    const float *in;
} block_job;

KEEL_CLONES static void block_groups(void *context, int64_t begin, int64_t end) {
    const block_job *j = context;
    const int64_t block = j->block, groups = (j->c + block - 1) / block;
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item % groups * block;
        const int64_t lanes = j->c - first < block ? j->c - first : block;
        const float *restrict in = j->in + (item / groups * j->c + first) * j->s;
        float *restrict out = j->out + item * j->s * block;
        for (int64_t p = 0; p < j->s; p++) {
            for (int64_t lane = 0; lane < lanes; lane++) out[p * block + lane] = in[lane * j->s + p];
            for (int64_t lane = lanes; lane < block; lane++) out[p * block + lane] = 0;
        }
    }
}

KEEL_CLONES static void unblock_groups(void *context, int64_t begin, int64_t end) {
    const block_job *j = context;
    const int64_t block = j->block, groups = (j->c + block - 1) / block;
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item % groups * block;
        const int64_t lanes = j->c - first < block ? j->c - first : block;
        float *restrict out = j->out + (item / groups * j->c + first) * j->s;
        const float *restrict in = j->in + item * j->s * block;
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int64_t p = 0; p < j->s; p++) out[lane * j->s + p] = in[p * block + lane];
    }
}

void keel_block_f32(int64_t n, int64_t c, int64_t s, int32_t block, float *blocked, const float *plain) {
    block_job j = {c, s, block, blocked, plain};
    keel_parallel(n * ((c + block - 1) / block), 16384 / (s * block + 1) + 1, block_groups, &j);
}

void keel_unblock_f32(int64_t n, int64_t c, int64_t s, int32_t block, float *plain, const float *blocked) {
    block_job j = {c, s, block, plain, blocked};
    keel_parallel(n * ((c + block - 1) / block), 16384 / (s * block + 1) + 1, unblock_groups, &j);
}

void keel_clear_padding_f32(int64_t n, int64_t groups, int64_t s, int64_t c, int32_t block, float *x) {
    const int64_t lanes = c - (groups - 1) * block;
    for (int64_t image = 0; image < n; image++) {
        float *last = x + (image * groups + groups - 1) * s * block;
        for (int64_t p = 0; p < s; p++)
            for (int64_t lane = lanes; lane < block; lane++) last[p * block + lane] = 0;
    }
}
