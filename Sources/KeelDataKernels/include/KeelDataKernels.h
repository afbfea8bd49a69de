// Kernels of KeelData: PNG through libpng's row interface, sound through libsndfile, and the loops over pixels and samples.
//
// A picture is `height` rows of `width` pixels of three bytes (red, green, blue), without gaps. Every function trusts
// the sizes it is given; their Swift callers check them. All arithmetic is either integer or float without contraction,
// so a picture becomes the same bytes on every processor.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { KEEL_DATA_MESSAGE = 160 };

/// Decodes a whole PNG into `rgb` (3 * width * height bytes): any colour type and depth, alpha composited on white.
/// Returns 0, or 1 with a sentence in `message` (KEEL_DATA_MESSAGE bytes) when the file is damaged or memory is short.
/// No ancillary chunk but tRNS is ever inflated or kept.
int keel_png_decode(const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *rgb, char *message);

/// Bytes that `keel_png_encode` may need for a picture of this size; 0 when it can't be encoded.
size_t keel_png_capacity(uint32_t width, uint32_t height);
/// Encodes a picture; returns the number of bytes written, 0 on failure.
size_t keel_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t *bytes, size_t capacity);

/// Turns CMYK (4 bytes a pixel) into RGB; `inverted` says that 255 means no ink, as Adobe writes it.
void keel_cmyk_to_rgb(const uint8_t *cmyk, size_t pixels, int inverted, uint8_t *rgb);

/// Makes a picture upright: `orientation` is EXIF's 1...8; for 5...8 the result is `height` wide and `width` high.
void keel_orient(const uint8_t *rgb, size_t width, size_t height, int orientation, uint8_t *upright);

/// The part of a source picture that a resize reads, in pixels; fractions are allowed.
typedef struct { double left, top, right, bottom; } keel_box;

/// Resizes the part `box` to `out_width` x `out_height` with a triangle filter whose support grows with the reduction
/// (what Pillow calls BILINEAR), writing rows that are `out_stride` bytes apart. Returns 0, or 1 when memory is short.
int keel_resize(const uint8_t *rgb, size_t width, size_t height, keel_box box,
                uint8_t *out, size_t out_width, size_t out_height, size_t out_stride);

/// Samples `out` bilinearly from `rgb`: output pixel centre (x, y) reads source position
/// (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]); beyond the edge the edge pixel goes on.
void keel_warp(const uint8_t *rgb, size_t width, size_t height, const double m[6],
               uint8_t *out, size_t out_width, size_t out_height);

/// Replaces every byte `v` by `table[v]`.
void keel_map_bytes(uint8_t *bytes, size_t count, const uint8_t table[256]);

/// Replaces every byte `v` of channel `c` by `tables[256 * c + v]`.
void keel_map_channels(uint8_t *rgb, size_t pixels, const uint8_t tables[768]);
/// Counts how often each channel has each value: `counts[256 * c + v]`, which must be 0 before.
void keel_histograms(const uint8_t *rgb, size_t pixels, uint32_t counts[768]);
/// The mean of the pixels' grey (ITU-R BT.601, as Pillow rounds it).
double keel_mean_grey(const uint8_t *rgb, size_t pixels);
/// Moves every value to `grey + factor * (value - grey)`, the grey being that of its pixel.
void keel_saturate(uint8_t *rgb, size_t pixels, double factor);
/// Turns every pixel's hue by `turn` of a whole turn; its value and saturation (of HSV) stay.
void keel_turn_hue(uint8_t *rgb, size_t pixels, double turn);
/// Writes `smooth + factor * (value - smooth)`; `smooth` is the mean of the 3 x 3 pixels around with the middle one five
/// times, rounded. The outermost pixels are copied.
void keel_sharpen(const uint8_t *rgb, size_t width, size_t height, double factor, uint8_t *out);

/// Splits a picture into three planes of float: `planes[c][i] = rgb[i][c] * scale[c] + offset[c]`.
void keel_planes(const uint8_t *rgb, size_t pixels, const float scale[3], const float offset[3], float *planes);

/// A sound file in memory, which has to outlive it.
typedef struct keel_sound keel_sound;
/// What a sound file's header says; `frames` (samples of each channel) may be a lie.
typedef struct { int64_t frames; int32_t channels, rate; } keel_sound_info;

/// Opens a sound file; NULL with a sentence in `message` (KEEL_DATA_MESSAGE bytes) when it's damaged or memory is short.
keel_sound *keel_sound_open(const uint8_t *bytes, size_t count, keel_sound_info *info, char *message);
/// Reads up to `frames` frames, channel beside channel, full scale being 1. Returns how many there were, 0 at the end,
/// -1 with a sentence in `message` when the file is damaged.
int64_t keel_sound_read(keel_sound *sound, float *samples, int64_t frames, char *message);
void keel_sound_close(keel_sound *sound);

/// Writes `out[j] = sum over k of samples[j * down / up - reach + k] * filters[place][k]`, where `filters` has rows of
/// `2 * reach + 2` and `place = (j * down % up) * phases / up` may lie between two of them; beyond both ends there is silence.
/// There are `phases` rows if that is `up`, and one more otherwise.
void keel_resample(const float *samples, int64_t count, const float *filters, int64_t phases, int64_t up, int64_t down,
                   int64_t reach, float *out, int64_t out_count);
