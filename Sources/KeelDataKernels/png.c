#include "KeelDataKernels.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t count, position;
    char *message;
} Source;

static void fail(png_structp png, png_const_charp text) {
    Source *source = png_get_error_ptr(png);
    snprintf(source->message, KEEL_DATA_MESSAGE, "%s", text);
    png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void take(png_structp png, png_bytep out, size_t count) {
    Source *source = png_get_io_ptr(png);
    if (count > source->count - source->position) png_error(png, "the file ends early");
    memcpy(out, source->bytes + source->position, count);
    source->position += count;
}

/// Composites `count` RGBA pixels on white; `rgb` may be the start of the same memory.
static void onto_white(const uint8_t *rgba, size_t count, uint8_t *rgb) {
    for (size_t i = 0; i < count; i++) {
        unsigned alpha = rgba[4 * i + 3], paper = 255 * (255 - alpha) + 128;
        for (int c = 0; c < 3; c++) {
            unsigned v = rgba[4 * i + c] * alpha + paper;
            rgb[3 * i + c] = (uint8_t)((v + (v >> 8)) >> 8);
        }
    }
}

/// What libpng's error jump leaves to be freed; kept outside the frame that the jump returns to.
typedef struct {
    png_structp png;
    png_infop info;
    uint8_t *rgba;
} Reading;

static int read_all(Reading *r, uint32_t width, uint32_t height, uint8_t *rgb) {
    if (setjmp(png_jmpbuf(r->png))) return 1;
    png_structp png = r->png;
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_user_limits(png, width, height);
    png_set_chunk_malloc_max(png, 1 << 20);
    png_read_info(png, r->info);
    if (png_get_image_width(png, r->info) != width || png_get_image_height(png, r->info) != height)
        png_error(png, "two headers disagree");
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, r->info);

    size_t row = png_get_rowbytes(png, r->info);
    int channels = png_get_channels(png, r->info);
    if ((channels != 3 && channels != 4) || row != (size_t)width * channels) png_error(png, "unexpected row layout");
    if (channels == 3) {
        for (int pass = 0; pass < passes; pass++)
            for (uint32_t y = 0; y < height; y++) png_read_row(png, rgb + y * row, NULL);
    } else {
        // Interlaced rows are filled in over several passes, so then all of them are kept.
        size_t rows = passes > 1 ? height : 1;
        r->rgba = malloc(rows * row);
        if (!r->rgba) png_error(png, "not enough memory");
        for (int pass = 0; pass < passes; pass++)
            for (uint32_t y = 0; y < height; y++) {
                uint8_t *to = r->rgba + (rows == 1 ? 0 : y * row);
                png_read_row(png, to, NULL);
                if (pass == passes - 1) onto_white(to, width, rgb + (size_t)y * width * 3);
            }
    }
    png_read_end(png, NULL);
    return 0;
}

int keel_png_decode(const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *rgb, char *message) {
    Source source = {bytes, count, 0, message};
    snprintf(message, KEEL_DATA_MESSAGE, "not enough memory");
    Reading reading = {0};
    reading.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, fail, ignore);
    if (!reading.png) return 1;
    reading.info = png_create_info_struct(reading.png);
    int failed = 1;
    if (reading.info) {
        png_set_read_fn(reading.png, &source, take);
        failed = read_all(&reading, width, height, rgb);
    }
    png_destroy_read_struct(&reading.png, &reading.info, NULL);
    free(reading.rgba);
    return failed;
}

static png_image picture_of(uint32_t width, uint32_t height) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = PNG_FORMAT_RGB;
    return image;
}

size_t keel_png_capacity(uint32_t width, uint32_t height) {
    png_image image = picture_of(width, height);
    return PNG_IMAGE_PNG_SIZE_MAX(image);
}

size_t keel_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t *bytes, size_t capacity) {
    png_image image = picture_of(width, height);
    png_alloc_size_t size = capacity;
    return png_image_write_to_memory(&image, bytes, &size, 0, rgb, 0, NULL) ? size : 0;
}
