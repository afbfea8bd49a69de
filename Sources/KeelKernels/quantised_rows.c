#include "quantised_rows.h"
#include "include/parallel.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef int32_t whole __attribute__((vector_size(64), aligned(4), may_alias));

/// The most rows that are multiplied by one panel after the other: as many as leave their bytes in the second-level cache.
#define BLOCK_ROWS 256
/// Rows of a tile that AVX2 has registers for.
#define AVX2_ROWS 4
/// Products that are worth a thread.
#define GRAIN (1 << 20)

keel_quantised_path keel_quantised_best_path(void) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni")) return KEEL_QUANTISED_VNNI;
    if (__builtin_cpu_supports("x86-64-v3")) return KEEL_QUANTISED_AVX2;
#endif
    return KEEL_QUANTISED_PLAIN;
}

KEEL_CLONES void keel_quantise_run(int64_t count, uint8_t *restrict q, const float *restrict x, keel_byte_scale scale) {
    for (int64_t i = 0; i < count; i++) q[i] = keel_quantised(x[i], scale);
}

KEEL_CLONES void keel_quantised_range(int64_t count, const float *x, float *least, float *most) {
    float low[LANES] = {0}, high[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            low[l] = x[i + l] < low[l] ? x[i + l] : low[l];
            high[l] = x[i + l] > high[l] ? x[i + l] : high[l];
        }
    for (; i < count; i++) {
        low[0] = x[i] < low[0] ? x[i] : low[0];
        high[0] = x[i] > high[0] ? x[i] : high[0];
    }
    *least = *most = 0;
    for (int l = 0; l < LANES; l++) {
        *least = low[l] < *least ? low[l] : *least;
        *most = high[l] > *most ? high[l] : *most;
    }
}

// A tile: sum[r][v] = the product of row r with panel v.

/// The inner loop of a path, on whose registers `rows` and `width` panels fit.
#define STRETCHES                                                                                                      \
    for (int64_t line = 0; line < a->stretches; line++)                                                                \
        for (int64_t tap = 0; tap < a->inner; tap++)                                                                   \
            for (int64_t p = line * a->stretch + tap * a->step, end = p + a->depth * 4; p < end; p += 4, b += 4 * LANES)

KEEL_INLINE void plain_tile(int rows, int width, whole sum[TILE_ROWS][TILE_WIDTH], const keel_byte_rows *a, const uint8_t *const *row, const int8_t *b, int64_t panel) {
    for (int r = 0; r < rows; r++) sum[r][0] = (whole){0};
    STRETCHES
        for (int r = 0; r < rows; r++)
            for (int l = 0; l < LANES; l++) {
                const uint8_t *left = row[r] + p;
                const int8_t *right = b + l * 4;
                sum[r][0][l] += left[0] * right[0] + left[1] * right[1] + left[2] * right[2] + left[3] * right[3];
            }
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("arch=x86-64-v3")))
#define VNNI __attribute__((target("arch=x86-64-v4,avx512vnni"), min_vector_width(512)))

/// Pairs of products are summed in 16 bits, which weights of 7 bits never overflow, and pairs of those in 32.
AVX2 KEEL_INLINE void avx2_tile(int rows, int width, whole sum[TILE_ROWS][TILE_WIDTH], const keel_byte_rows *a, const uint8_t *const *row, const int8_t *b, int64_t panel) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i s0[TILE_ROWS], s1[TILE_ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) s0[r] = s1[r] = _mm256_setzero_si256();
    STRETCHES {
        const __m256i right0 = _mm256_loadu_si256((const __m256i *)b), right1 = _mm256_loadu_si256((const __m256i *)(b + 32));
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, row[r] + p, sizeof four);
            const __m256i left = _mm256_set1_epi32(four);
            s0[r] = _mm256_add_epi32(s0[r], _mm256_madd_epi16(_mm256_maddubs_epi16(left, right0), ones));
            s1[r] = _mm256_add_epi32(s1[r], _mm256_madd_epi16(_mm256_maddubs_epi16(left, right1), ones));
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)&sum[r][0], s0[r]);
        _mm256_storeu_si256((__m256i *)&sum[r][0] + 1, s1[r]);
    }
}

VNNI KEEL_INLINE void vnni_tile(int rows, int width, whole sum[TILE_ROWS][TILE_WIDTH], const keel_byte_rows *a, const uint8_t *const *row, const int8_t *b, int64_t panel) {
    __m512i s[TILE_ROWS][TILE_WIDTH];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) s[r][v] = _mm512_setzero_si512();
    STRETCHES {
        __m512i right[TILE_WIDTH];
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) right[v] = _mm512_loadu_si512(b + v * panel);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, row[r] + p, sizeof four);
            const __m512i left = _mm512_set1_epi32(four);
#pragma clang loop unroll(full)
            for (int v = 0; v < width; v++) s[r][v] = _mm512_dpbusd_epi32(s[r][v], left, right[v]);
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < width; v++) _mm512_storeu_si512(&sum[r][v], s[r][v]);
}
#endif

/// What the outputs of a tile have in common; zeros past the last one.
typedef struct {
    float scale[PANEL], bias[PANEL];
    whole correction[TILE_WIDTH];
    keel_byte_place place[TILE_WIDTH];
} column_end;

static column_end column_end_of(const keel_byte_columns *b, int64_t from, int width, const int8_t *panels, int64_t depth) {
    column_end e = {0};
    for (int64_t i = 0; i < width * LANES && from + i < b->outputs; i++) {
        e.scale[i] = b->scale.scale * b->end.scales[from + i];
        e.bias[i] = b->end.bias ? b->end.bias[from + i] : 0;
    }
    for (int v = 0; v < width; v++) {
        e.correction[v] = *(const whole *)(panels + v * keel_byte_panel(depth) + depth * 4 * LANES) * b->scale.zero;
        e.place[v] = keel_byte_place_of(b, from + v * LANES);
    }
    return e;
}

/// A row's image, its position in it, and where its bytes begin.
typedef struct {
    int64_t image[TILE_ROWS], position[TILE_ROWS];
    const uint8_t *bytes[TILE_ROWS];
} tile_rows;

/// Rows from `first` on.
KEEL_INLINE void find_rows(int rows, tile_rows *t, const keel_byte_rows *a, int64_t first) {
    int64_t image = first / a->area, position = first % a->area, line = position / a->across, column = position % a->across;
    for (int r = 0; r < rows; r++) {
        t->image[r] = image;
        t->position[r] = position;
        t->bytes[r] = a->bytes + image * a->image + line * a->line + column * a->column;
        position++;
        if (++column < a->across) continue;
        column = 0;
        line++;
        if (position < a->area) continue;
        position = line = 0;
        image++;
    }
}

/// `rows` rows from row `first` on times `width` panels.
#define ROWS_FUNCTION(path, attribute)                                                                                 \
    attribute KEEL_INLINE void path##_rows(int rows, int width, const keel_byte_rows *a, const keel_byte_columns *b, const int8_t *panels, const column_end *e, int64_t first) { \
        tile_rows t;                                                                                                   \
        find_rows(rows, &t, a, first);                                                                                 \
        whole sum[TILE_ROWS][TILE_WIDTH];                                                                              \
        path##_tile(rows, width, sum, a, t.bytes, panels, keel_byte_panel(keel_byte_depth(a)));                        \
        for (int r = 0; r < rows; r++)                                                                                 \
            for (int v = 0; v < width; v++) {                                                                          \
                lanes y = __builtin_convertvector(sum[r][v] - e->correction[v], lanes) * *(const lanes *)(e->scale + v * LANES); \
                y = y + *(const lanes *)(e->bias + v * LANES);                                                         \
                float results[LANES];                                                                                  \
                *(lanes *)results = y;                                                                                 \
                keel_finish_bytes(b, e->place + v, results, t.image[r], t.position[r]);                                \
            }                                                                                                          \
    }

/// Rows first..<last times `wide` panels of outputs from `from` on.
#define ALL_ROWS_FUNCTION(name, attribute, wide, high)                                                                 \
    attribute static void name(const keel_byte_rows *a, const keel_byte_columns *b, const int8_t *panels, int64_t first, int64_t last, int64_t from) { \
        enum { WIDE = wide };                                                                                          \
        const column_end e = column_end_of(b, from, wide, panels, keel_byte_depth(a));                                 \
        for (int64_t rows; first < last; first += rows) {                                                              \
            const int64_t left = last - first;                                                                         \
            /* A pair of like tiles at the end. */                                                                     \
            rows = left > high && left < 2 * high ? (left + 1) / 2 : least(high, left);                                \
            switch (rows) { KEEL_TILE_CASES }                                                                          \
        }                                                                                                              \
    }

ROWS_FUNCTION(plain, )
#define CASE(n) case n: plain_rows(n, WIDE, a, b, panels, &e, first); break;
ALL_ROWS_FUNCTION(plain, , 1, 4)
#undef CASE

#ifdef __x86_64__
ROWS_FUNCTION(avx2, AVX2)
#define CASE(n) case n: avx2_rows(n, WIDE, a, b, panels, &e, first); break;
ALL_ROWS_FUNCTION(avx2, AVX2, 1, AVX2_ROWS)
#undef CASE

ROWS_FUNCTION(vnni, VNNI)
#define CASE(n) case n: vnni_rows(n, WIDE, a, b, panels, &e, first); break;
ALL_ROWS_FUNCTION(vnni_1, VNNI, 1, TILE_ROWS)
ALL_ROWS_FUNCTION(vnni_2, VNNI, 2, TILE_ROWS)
ALL_ROWS_FUNCTION(vnni_3, VNNI, 3, TILE_ROWS)
ALL_ROWS_FUNCTION(vnni_4, VNNI, 4, TILE_ROWS)
#undef CASE
#endif

typedef void (*rows_function)(const keel_byte_rows *a, const keel_byte_columns *b, const int8_t *panels, int64_t first, int64_t last, int64_t from);

/// Of a path, for as many panels as are left.
static rows_function function_of(keel_quantised_path path, int64_t panels) {
#ifdef __x86_64__
    static const rows_function wide[TILE_WIDTH] = {vnni_1, vnni_2, vnni_3, vnni_4};
    if (path == KEEL_QUANTISED_VNNI) return wide[least(panels, TILE_WIDTH) - 1];
    if (path == KEEL_QUANTISED_AVX2) return avx2;
#endif
    return plain;
}

typedef struct {
    keel_quantised_path path;
    const keel_byte_rows *a;
    const keel_byte_columns *b;
    int64_t rows, block, panels, groups, width;
} job;

/// Pieces are numbered by blocks of rows, and in each by groups of panels, as many as the widest tile has.
static void multiply(void *context, int64_t begin, int64_t end) {
    const job *j = context;
    for (int64_t piece = begin; piece < end; piece++) {
        const keel_byte_columns *b = j->b;
        const int64_t first = piece / j->groups * j->block, last = least(first + j->block, j->rows), panel_bytes = keel_byte_panel(keel_byte_depth(j->a));
        const int64_t begin_panel = piece % j->groups * TILE_WIDTH, end_panel = least(begin_panel + TILE_WIDTH, j->panels);
        for (int64_t panel = begin_panel; panel < end_panel; panel += j->width)
            function_of(j->path, end_panel - panel)(j->a, b, b->panels + panel * panel_bytes, first, last, panel * LANES);
        if (!b->end.has_function) continue;
        const int64_t output = begin_panel * LANES, count = least(end_panel * LANES, b->outputs) - output;
        for (int64_t row = first; row < last; row++)
            keel_unary_row_f32(b->end.function, count, b->y + row * b->lanes + output, b->end.constants[0], b->end.constants[1]);
    }
}

void keel_multiply_bytes(keel_quantised_path path, const keel_byte_rows *a, int64_t rows, const keel_byte_columns *b) {
    job j = {path, a, b, rows, 0, (b->outputs + LANES - 1) / LANES, 0, path == KEEL_QUANTISED_VNNI ? TILE_WIDTH : 1};
    j.groups = (j.panels + TILE_WIDTH - 1) / TILE_WIDTH;
    // Blocks of one size, and as many pieces for each thread.
    const int64_t threads = keel_thread_count();
    int64_t blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    if (j.groups % threads != 0) blocks = (blocks + threads - 1) / threads * threads;
    if (blocks == 0) return;
    j.block = ((rows + blocks - 1) / blocks + AVX2_ROWS - 1) / AVX2_ROWS * AVX2_ROWS;
    const int64_t products = least(rows, j.block) * PANEL * keel_byte_depth(a) * 4;
    keel_parallel((rows + j.block - 1) / j.block * j.groups, GRAIN / (products + 1) + 1, multiply, &j);
}

int64_t keel_quantised_packed_bytes(int64_t n, int64_t c, int64_t taps, int64_t groups) {
    return (n / groups + LANES - 1) / LANES * groups * keel_byte_panel((c + 3) / 4 * taps);
}

void keel_quantised_pack(int64_t n, int64_t c, int64_t taps, int64_t groups, int8_t *packed, const uint8_t *weight) {
    const int64_t depth = (c + 3) / 4, outputs = n / groups, panel = keel_byte_panel(depth * taps);
    memset(packed, 0, (size_t)keel_quantised_packed_bytes(n, c, taps, groups));
    for (int64_t g = 0; g < groups; g++)
        for (int64_t begin = 0; begin < outputs; begin += LANES, packed += panel) {
            int32_t *all = (int32_t *)(packed + panel - 4 * LANES);
            for (int64_t i = 0; i < least(LANES, outputs - begin); i++)
                for (int64_t p = 0; p < c; p++)
                    for (int64_t tap = 0; tap < taps; tap++) {
                        const int value = weight[((g * outputs + begin + i) * c + p) * taps + tap] - 128;
                        packed[((tap * depth + p / 4) * LANES + i) * 4 + p % 4] = (int8_t)value;
                        all[i] += value;
                    }
        }
}
