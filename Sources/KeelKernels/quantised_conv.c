#include "quantised_picture.h"

int64_t keel_quantised_conv_scratch(const keel_window *at) {
    const keel_byte_picture p = keel_byte_picture_of(at);
    return at->n * p.height * p.width * p.channels;
}

void keel_quantised_conv(keel_quantised_path path, const keel_window *at, float *y, int64_t y_lanes, const float *x, int64_t x_lanes, keel_byte_scale scale, const int8_t *packed, const keel_quantised_end *end, uint8_t *scratch) {
    const keel_byte_picture p = keel_byte_picture_of(at);
    const int64_t line = p.width * p.channels, area = at->oh * at->ow, own = at->k / at->groups, taps = at->kernel_h * at->kernel_w;
    keel_quantise_picture(at, p, scratch, x, x_lanes, scale);
    // Taps of a line lie side by side unless they are dilated: one stretch.
    const int64_t across = at->dilation_w == 1 && at->groups == 1 ? at->kernel_w : 1;
    for (int64_t g = 0; g < at->groups; g++) {
        const keel_byte_rows a = {
            .bytes = scratch + g * p.group, .across = at->ow, .area = area, .column = at->stride_w / p.step_w * p.channels, .line = at->stride_h / p.step_h * line,
            .image = p.height * line, .depth = across * p.group / 4, .stretches = at->kernel_h, .stretch = at->dilation_h * line,
            .inner = at->kernel_w / across, .step = at->dilation_w * p.channels};
        keel_byte_columns b = {
            .panels = packed, .outputs = own, .channel = g * own, .written = at->groups == 1 ? (own + y_lanes - 1) / y_lanes * y_lanes : own, .scale = scale,
            .end = *end, .y = y, .lanes = y_lanes, .area = area, .image = (at->k + y_lanes - 1) / y_lanes * y_lanes * area};
        b.end.scales += b.channel;
        if (b.end.bias) b.end.bias += b.channel;
        keel_multiply_bytes(path, &a, at->n * area, &b);
        packed += (own + LANES - 1) / LANES * keel_byte_panel(p.group / 4 * taps);
    }
}
