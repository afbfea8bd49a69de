#include "include/ordering.h"
#include "include/parallel.h"
#include "simd.h"

// Plain loops: an element's place is the number of those that come before it.

#define COMES_BEFORE_FLOAT(a, b) ((a) < (b) || ((b) != (b) && (a) == (a)))
#define COMES_BEFORE_WHOLE(a, b) ((a) < (b))

#define REFERENCE(type, before)                                                                                        \
    for (int64_t row = 0; row < rows; row++) {                                                                         \
        const type *in = (const type *)x + row * n;                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            int64_t place = 0;                                                                                         \
            for (int64_t j = 0; j < n; j++) {                                                                          \
                const int ahead = largest ? before(in[i], in[j]) : before(in[j], in[i]);                               \
                const int behind = largest ? before(in[j], in[i]) : before(in[i], in[j]);                              \
                place += ahead || (!behind && j < i);                                                                  \
            }                                                                                                          \
            if (place >= k) continue;                                                                                  \
            ((type *)values)[row * k + place] = in[i];                                                                 \
            indices[row * k + place] = i;                                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    break;

void keel_reference_top_k(keel_dtype dtype, int32_t largest, int64_t rows, int64_t n, int64_t k, void *values, int64_t *indices, const void *x) {
    switch (dtype) {
    case KEEL_FLOAT32: REFERENCE(float, COMES_BEFORE_FLOAT)
    case KEEL_FLOAT64: REFERENCE(double, COMES_BEFORE_FLOAT)
    case KEEL_INT32: REFERENCE(int32_t, COMES_BEFORE_WHOLE)
    case KEEL_INT64: REFERENCE(int64_t, COMES_BEFORE_WHOLE)
    case KEEL_UINT8:
    case KEEL_BOOL: REFERENCE(uint8_t, COMES_BEFORE_WHOLE)
    }
}

// Fast: a number becomes an unsigned key of the same order, and key and position one whole number. These all differ, so any way to
// sort them keeps equal numbers in order.

KEEL_INLINE uint32_t key_f32(float x) {
    uint32_t bits;
    const float plain = x == 0 ? 0.0f : x;
    memcpy(&bits, &plain, sizeof bits);
    const uint32_t key = bits ^ ((uint32_t)((int32_t)bits >> 31) | 0x80000000u);
    return x != x ? UINT32_MAX : key;
}
KEEL_INLINE uint64_t key_f64(double x) {
    uint64_t bits;
    const double plain = x == 0 ? 0.0 : x;
    memcpy(&bits, &plain, sizeof bits);
    const uint64_t key = bits ^ ((uint64_t)((int64_t)bits >> 63) | (uint64_t)1 << 63);
    return x != x ? UINT64_MAX : key;
}
KEEL_INLINE uint32_t key_i32(int32_t x) { return (uint32_t)x ^ 0x80000000u; }
KEEL_INLINE uint64_t key_i64(int64_t x) { return (uint64_t)x ^ (uint64_t)1 << 63; }
KEEL_INLINE uint32_t key_u8(uint8_t x) { return x; }

#define RUN 16
#define BLOCK 64

// `pair` holds a key in its upper and a position in its lower bits.
#define SORTING(pair, suffix, bits)                                                                                    \
    /* Merges ever longer runs of a[0..<m], to and fro between a and b; gives back the one that holds the result. */   \
    static pair *merge_sort_##suffix(pair *a, pair *b, int64_t m) {                                                    \
        for (int64_t start = 0; start < m; start += RUN) {                                                             \
            const int64_t end = start + RUN < m ? start + RUN : m;                                                     \
            for (int64_t i = start + 1; i < end; i++) {                                                                \
                const pair x = a[i];                                                                                   \
                int64_t j = i;                                                                                         \
                for (; j > start && a[j - 1] > x; j--) a[j] = a[j - 1];                                                \
                a[j] = x;                                                                                              \
            }                                                                                                          \
        }                                                                                                              \
        for (int64_t run = RUN; run < m; run *= 2) {                                                                   \
            for (int64_t start = 0; start < m; start += 2 * run) {                                                     \
                const int64_t middle = start + run < m ? start + run : m, end = start + 2 * run < m ? start + 2 * run : m; \
                int64_t i = start, j = middle, at = start;                                                             \
                while (i < middle && j < end) {                                                                        \
                    const pair x = a[i], y = a[j];                                                                     \
                    const int first = x < y;                                                                           \
                    b[at++] = first ? x : y;                                                                           \
                    i += first;                                                                                        \
                    j += !first;                                                                                       \
                }                                                                                                      \
                while (i < middle) b[at++] = a[i++];                                                                   \
                while (j < end) b[at++] = a[j++];                                                                      \
            }                                                                                                          \
            pair *other = a;                                                                                           \
            a = b;                                                                                                     \
            b = other;                                                                                                 \
        }                                                                                                              \
        return a;                                                                                                      \
    }                                                                                                                  \
    /* As above, for pairs whose positions ascend: byte after byte of the key, the lowest first. */                    \
    static pair *radix_sort_##suffix(pair *a, pair *b, int64_t m) {                                                    \
        uint32_t counts[bits / 8][256];                                                                                \
        memset(counts, 0, sizeof counts);                                                                              \
        for (int64_t i = 0; i < m; i++)                                                                                \
            for (int32_t byte = 0; byte < bits / 8; byte++) counts[byte][(uint8_t)(a[i] >> (bits + 8 * byte))]++;      \
        for (int32_t byte = 0; byte < bits / 8; byte++) {                                                              \
            const int32_t shift = bits + 8 * byte;                                                                     \
            uint32_t *starts = counts[byte];                                                                           \
            if (starts[(uint8_t)(a[0] >> shift)] == (uint32_t)m) continue;                                             \
            uint32_t sum = 0;                                                                                          \
            for (int32_t digit = 0; digit < 256; digit++) {                                                            \
                const uint32_t count = starts[digit];                                                                  \
                starts[digit] = sum;                                                                                   \
                sum += count;                                                                                          \
            }                                                                                                          \
            for (int64_t i = 0; i < m; i++) b[starts[(uint8_t)(a[i] >> shift)]++] = a[i];                              \
            pair *other = a;                                                                                           \
            a = b;                                                                                                     \
            b = other;                                                                                                 \
        }                                                                                                              \
        return a;                                                                                                      \
    }
SORTING(uint64_t, 32, 32)
SORTING(unsigned __int128, 64, 64)

// Up to this share of a row, its first ones are found without sorting the row (measured: 50 of 1024 take twice as long that way).
static int is_selective(int64_t n, int64_t k) { return k <= n / 64; }

static int64_t capacity(int64_t n, int64_t k) { return is_selective(n, k) ? 2 * k + 2 * BLOCK : n; }

static int64_t pair_width(keel_dtype dtype) { return dtype == KEEL_FLOAT64 || dtype == KEEL_INT64 ? 16 : 8; }

int64_t keel_top_k_scratch(keel_dtype dtype, int64_t n, int64_t k) { return (2 * capacity(n, k) * pair_width(dtype) + 63) / 64 * 64; }

typedef struct {
    keel_dtype dtype;
    int32_t largest;
    int64_t rows, n, k, parts;
    void *values;
    int64_t *indices;
    const void *x;
    char *scratch;
} top_k_job;

#define ORDERING(type, name, key_type, key_of, pair, suffix, bits)                                                     \
    /* The keys of a block, and their least. */                                                                        \
    KEEL_CLONES static key_type name##_keys(const type *restrict x, int64_t count, key_type flip, key_type *restrict keys) { \
        key_type least = (key_type)-1;                                                                                 \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            const key_type key = key_of(x[i]) ^ flip;                                                                  \
            keys[i] = key;                                                                                             \
            least = key < least ? key : least;                                                                         \
        }                                                                                                              \
        return least;                                                                                                  \
    }                                                                                                                  \
    static pair *name##_select(int64_t n, int64_t k, const type *x, key_type flip, pair *a, pair *b) {                 \
        const int64_t room = capacity(n, k);                                                                           \
        int64_t kept = 0;                                                                                              \
        key_type limit = 0; /* once k were kept, others need a smaller key than the last of these */                   \
        int is_limited = 0;                                                                                            \
        key_type keys[BLOCK];                                                                                          \
        for (int64_t start = 0; start < n; start += BLOCK) {                                                           \
            const int64_t count = n - start < BLOCK ? n - start : BLOCK;                                               \
            const key_type least = name##_keys(x + start, count, flip, keys);                                          \
            if (is_limited && least >= limit) continue;                                                                \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                a[kept] = (pair)keys[i] << bits | (pair)(start + i);                                                   \
                kept += !is_limited || keys[i] < limit;                                                                \
            }                                                                                                          \
            if (kept + BLOCK < room) continue;                                                                         \
            pair *sorted = merge_sort_##suffix(a, b, kept);                                                            \
            if (sorted != a) {                                                                                         \
                b = a;                                                                                                 \
                a = sorted;                                                                                            \
            }                                                                                                          \
            kept = k;                                                                                                  \
            is_limited = 1;                                                                                            \
            limit = (key_type)(a[k - 1] >> bits);                                                                      \
        }                                                                                                              \
        return merge_sort_##suffix(a, b, kept);                                                                        \
    }                                                                                                                  \
    static void name##_row(int32_t largest, int64_t n, int64_t k, type *values, int64_t *indices, const type *x, pair *scratch) { \
        const key_type flip = largest ? (key_type)-1 : 0;                                                              \
        pair *a = scratch, *b = scratch + capacity(n, k), *sorted;                                                     \
        if (is_selective(n, k)) {                                                                                      \
            sorted = name##_select(n, k, x, flip, a, b);                                                               \
        } else {                                                                                                       \
            for (int64_t i = 0; i < n; i++) a[i] = (pair)(key_type)(key_of(x[i]) ^ flip) << bits | (pair)i;            \
            sorted = n < 512 ? merge_sort_##suffix(a, b, n) : radix_sort_##suffix(a, b, n);                            \
        }                                                                                                              \
        for (int64_t i = 0; i < k; i++) {                                                                              \
            const int64_t index = (int64_t)(uint32_t)sorted[i];                                                        \
            indices[i] = index;                                                                                        \
            values[i] = x[index];                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(void *context, int64_t begin, int64_t end) {                                                      \
        const top_k_job *j = context;                                                                                  \
        for (int64_t part = begin; part < end; part++) {                                                               \
            pair *scratch = (pair *)(void *)(j->scratch + part * keel_top_k_scratch(j->dtype, j->n, j->k));            \
            for (int64_t row = j->rows * part / j->parts; row < j->rows * (part + 1) / j->parts; row++)                \
                name##_row(j->largest, j->n, j->k, (type *)j->values + row * j->k, j->indices + row * j->k,            \
                           (const type *)j->x + row * j->n, scratch);                                                  \
        }                                                                                                              \
    }
ORDERING(float, order_f32, uint32_t, key_f32, uint64_t, 32, 32)
ORDERING(double, order_f64, uint64_t, key_f64, unsigned __int128, 64, 64)
ORDERING(int32_t, order_i32, uint32_t, key_i32, uint64_t, 32, 32)
ORDERING(int64_t, order_i64, uint64_t, key_i64, unsigned __int128, 64, 64)
ORDERING(uint8_t, order_u8, uint32_t, key_u8, uint64_t, 32, 32)

void keel_top_k(
    keel_dtype dtype, int32_t largest, int64_t rows, int64_t n, int64_t k, void *values, int64_t *indices, const void *x, int64_t parts,
    void *scratch) {
    if (rows == 0 || k == 0) return;
    top_k_job j = {dtype, largest, rows, n, k, parts, values, indices, x, scratch};
    keel_body body = NULL;
    switch (dtype) {
    case KEEL_FLOAT32: body = order_f32; break;
    case KEEL_FLOAT64: body = order_f64; break;
    case KEEL_INT32: body = order_i32; break;
    case KEEL_INT64: body = order_i64; break;
    case KEEL_UINT8:
    case KEEL_BOOL: body = order_u8; break;
    }
    keel_parallel(parts, 1, body, &j);
}
