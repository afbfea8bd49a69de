#ifndef KEEL_PATCHES_H
#define KEEL_PATCHES_H

#include "image.h"

/// A convolution without groups as a product of patches with filters, which lie in panels: for maps too small for a direct algorithm, which holds
/// a filter for a row of positions. x lies as [n, c / in_lanes, h, w, in_lanes], y accordingly; c and k are multiples of 16, and
/// of their lanes, which are multiples of 8; there is a position at least. A position outside of the picture counts as zero times its weight.

/// Floats that the filters take in panels, and that the product needs besides; both 64-byte aligned.
int64_t keel_patch_filter_count(const keel_window *at);
int64_t keel_patch_scratch(const keel_window *at);

/// From [k, c, kernel_h, kernel_w].
void keel_patch_filters_f32(const keel_window *at, float *filters, const float *weight);

/// y = the product, and what follows. The result doesn't depend on the count of threads.
void keel_patch_product_f32(const keel_window *at, int64_t in_lanes, int64_t out_lanes, float *y, const float *x, const float *filters, keel_conv_end end, float *scratch);

#endif
