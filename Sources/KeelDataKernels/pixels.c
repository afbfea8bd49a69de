#include "KeelDataKernels.h"
#include "dispatched.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline uint8_t divided_by_255(unsigned v) {
    v += 128;
    return (uint8_t)((v + (v >> 8)) >> 8);
}

void keel_cmyk_to_rgb(const uint8_t *cmyk, size_t pixels, int inverted, uint8_t *rgb) {
    uint8_t flip = inverted ? 0 : 255;
    for (size_t i = 0; i < pixels; i++) {
        unsigned white = cmyk[4 * i + 3] ^ flip;
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = divided_by_255((cmyk[4 * i + c] ^ flip) * white);
    }
}

void keel_orient(const uint8_t *rgb, size_t width, size_t height, int orientation, uint8_t *upright) {
    // Where source pixel (0, 0) lands, and how far one step right or down in the source moves in the result.
    size_t out_width = orientation > 4 ? height : width;
    ptrdiff_t line = (ptrdiff_t)out_width * 3, start = 0, right = 3, down = line;
    ptrdiff_t last_x = ((ptrdiff_t)width - 1), last_y = ((ptrdiff_t)height - 1);
    switch (orientation) {
    case 2: start = last_x * 3, right = -3; break;
    case 3: start = last_x * 3 + last_y * line, right = -3, down = -line; break;
    case 4: start = last_y * line, down = -line; break;
    case 5: right = line, down = 3; break;
    case 6: start = last_y * 3, right = line, down = -3; break;
    case 7: start = last_y * 3 + last_x * line, right = -line, down = -3; break;
    case 8: start = last_x * line, right = -line, down = 3; break;
    default: break;
    }
    // In blocks, so that the turned ones stay in the cache.
    enum { SIDE = 32 };
    for (size_t top = 0; top < height; top += SIDE)
        for (size_t left = 0; left < width; left += SIDE) {
            size_t bottom = top + SIDE < height ? top + SIDE : height, end = left + SIDE < width ? left + SIDE : width;
            for (size_t y = top; y < bottom; y++) {
                const uint8_t *from = rgb + (y * width + left) * 3;
                uint8_t *to = upright + start + (ptrdiff_t)y * down + (ptrdiff_t)left * right;
                for (size_t x = left; x < end; x++, from += 3, to += right) to[0] = from[0], to[1] = from[1], to[2] = from[2];
            }
        }
}

/// For each output position: the first input position it reads, how many, and their weights (`taps` apart).
typedef struct {
    size_t *first, *count;
    float *weight;
    size_t taps;
} Filter;

static void free_filter(Filter f) { free(f.first), free(f.count), free(f.weight); }

static int make_filter(size_t in, double from, double to, size_t out, Filter *f) {
    double scale = (to - from) / (double)out, reach = scale > 1 ? scale : 1;
    f->taps = (size_t)ceil(reach) * 2 + 1;
    f->first = malloc(out * sizeof(size_t));
    f->count = malloc(out * sizeof(size_t));
    f->weight = malloc(out * f->taps * sizeof(float));
    double *exact = malloc(f->taps * sizeof(double));
    if (!f->first || !f->count || !f->weight || !exact) {
        free(exact);
        return 1;
    }
    for (size_t i = 0; i < out; i++) {
        double centre = from + ((double)i + 0.5) * scale;
        double low = floor(centre - reach + 0.5), high = floor(centre + reach + 0.5);
        size_t first = low < 0 ? 0 : (size_t)low;
        if (first > in - 1) first = in - 1;
        size_t end = high > (double)in ? in : (size_t)high;
        if (end <= first) end = first + 1;
        if (end - first > f->taps) end = first + f->taps;
        double sum = 0;
        for (size_t k = 0; k < end - first; k++) {
            double distance = fabs(((double)(first + k) - centre + 0.5) / reach);
            sum += exact[k] = distance < 1 ? 1 - distance : 0;
        }
        if (sum == 0) exact[0] = sum = 1;
        for (size_t k = 0; k < end - first; k++) f->weight[i * f->taps + k] = (float)(exact[k] / sum);
        f->first[i] = first;
        f->count[i] = end - first;
    }
    free(exact);
    return 0;
}

typedef float Float4 __attribute__((vector_size(16)));
typedef float Float8 __attribute__((vector_size(32)));
typedef uint8_t Byte8 __attribute__((vector_size(8)));

/// `sum[i]` = weighted sum of byte `i` over `rows` rows that are `stride` apart.
DISPATCHED static void blend_rows(const uint8_t *restrict bytes, size_t stride, size_t rows, const float *restrict weight,
                                  float *restrict sum, size_t count) {
    enum { LANES = 4 };
    size_t i = 0;
    for (; i + 8 * LANES <= count; i += 8 * LANES) {
        Float8 total[LANES];
        for (int j = 0; j < LANES; j++) total[j] = (Float8){0};
        for (size_t k = 0; k < rows; k++)
            for (int j = 0; j < LANES; j++) {
                Byte8 part;
                memcpy(&part, bytes + k * stride + i + 8 * j, sizeof part);
                total[j] += weight[k] * __builtin_convertvector(part, Float8);
            }
        memcpy(sum + i, total, sizeof total);
    }
    for (; i < count; i++) {
        float total = 0;
        for (size_t k = 0; k < rows; k++) total += weight[k] * (float)bytes[k * stride + i];
        sum[i] = total;
    }
}

/// One output row from one blended row; `row` has one float of room behind its last pixel.
DISPATCHED static void blend_columns(const float *restrict row, size_t left, const Filter *filter, size_t count,
                                     uint8_t *restrict out) {
    for (size_t x = 0; x < count; x++) {
        const float *from = row + (filter->first[x] - left) * 3, *weight = filter->weight + x * filter->taps;
        Float4 even = {0}, odd = {0};
        size_t k = 0, taps = filter->count[x];
        for (; k + 2 <= taps; k += 2) {
            Float4 a, b;
            memcpy(&a, from + 3 * k, sizeof a);
            memcpy(&b, from + 3 * k + 3, sizeof b);
            even += weight[k] * a;
            odd += weight[k + 1] * b;
        }
        if (k < taps) {
            Float4 a;
            memcpy(&a, from + 3 * k, sizeof a);
            even += weight[k] * a;
        }
        even += odd;
        for (int c = 0; c < 3; c++) {
            float v = even[c] + 0.5f;
            out[3 * x + c] = v >= 255 ? 255 : (uint8_t)v;
        }
    }
}

int keel_resize(const uint8_t *rgb, size_t width, size_t height, keel_box box,
                uint8_t *out, size_t out_width, size_t out_height, size_t out_stride) {
    Filter across = {0}, down = {0};
    float *row = NULL;
    int failed = make_filter(width, box.left, box.right, out_width, &across)
              || make_filter(height, box.top, box.bottom, out_height, &down);
    if (!failed) {
        size_t left = across.first[0], right = across.first[out_width - 1] + across.count[out_width - 1];
        size_t count = (right - left) * 3;
        row = malloc((count + 1) * sizeof(float));
        failed = !row;
        if (row) row[count] = 0;
        for (size_t y = 0; y < out_height && !failed; y++) {
            blend_rows(rgb + (down.first[y] * width + left) * 3, width * 3, down.count[y], down.weight + y * down.taps,
                       row, count);
            blend_columns(row, left, &across, out_width, out + y * out_stride);
        }
    }
    free(row);
    free_filter(across);
    free_filter(down);
    return failed;
}

void keel_warp(const uint8_t *rgb, size_t width, size_t height, const double m[6],
               uint8_t *out, size_t out_width, size_t out_height) {
    // Positions are whole numbers of 1/65536 pixel; the weights use their upper eight bits of fraction.
    int64_t step_x = llround(m[0] * 65536), step_y = llround(m[3] * 65536);
    int64_t last_x = (int64_t)width - 1, last_y = (int64_t)height - 1;
    for (size_t y = 0; y < out_height; y++) {
        // Pixel centres lie at half positions in both pictures.
        double cx = 0.5, cy = (double)y + 0.5;
        int64_t sx = llround((m[0] * cx + m[1] * cy + m[2] - 0.5) * 65536);
        int64_t sy = llround((m[3] * cx + m[4] * cy + m[5] - 0.5) * 65536);
        for (size_t x = 0; x < out_width; x++, sx += step_x, sy += step_y) {
            int64_t px = sx, py = sy;
            if (px < 0) px = 0;
            if (px > last_x << 16) px = last_x << 16;
            if (py < 0) py = 0;
            if (py > last_y << 16) py = last_y << 16;
            int64_t x0 = px >> 16, y0 = py >> 16;
            unsigned fx = (px >> 8) & 255, fy = (py >> 8) & 255;
            const uint8_t *a = rgb + (y0 * (int64_t)width + x0) * 3;
            const uint8_t *b = x0 < last_x ? a + 3 : a;
            ptrdiff_t next = y0 < last_y ? (ptrdiff_t)width * 3 : 0;
            for (int c = 0; c < 3; c++) {
                unsigned top = a[c] * (256 - fx) + b[c] * fx, bottom = a[next + c] * (256 - fx) + b[next + c] * fx;
                out[(y * out_width + x) * 3 + c] = (uint8_t)((top * (256 - fy) + bottom * fy + 32768) >> 16);
            }
        }
    }
}

void keel_map_bytes(uint8_t *bytes, size_t count, const uint8_t table[256]) {
    for (size_t i = 0; i < count; i++) bytes[i] = table[bytes[i]];
}

DISPATCHED void keel_planes(const uint8_t *restrict rgb, size_t pixels, const float scale[3], const float offset[3],
                            float *restrict planes) {
    float s0 = scale[0], s1 = scale[1], s2 = scale[2], o0 = offset[0], o1 = offset[1], o2 = offset[2];
    float *restrict red = planes, *restrict green = planes + pixels, *restrict blue = planes + 2 * pixels;
    for (size_t i = 0; i < pixels; i++) {
        red[i] = (float)rgb[3 * i] * s0 + o0;
        green[i] = (float)rgb[3 * i + 1] * s1 + o1;
        blue[i] = (float)rgb[3 * i + 2] * s2 + o2;
    }
}
