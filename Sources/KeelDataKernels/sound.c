#include "KeelDataKernels.h"

#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct keel_sound {
    const uint8_t *bytes;
    sf_count_t count, position;
    SNDFILE *file;
};

static sf_count_t length(void *user) { return ((keel_sound *)user)->count; }

static sf_count_t tell(void *user) { return ((keel_sound *)user)->position; }

static sf_count_t seek(sf_count_t offset, int from, void *user) {
    keel_sound *sound = user;
    sf_count_t base = from == SEEK_SET ? 0 : from == SEEK_CUR ? sound->position : sound->count;
    if (offset < -base || offset > sound->count - base) return -1;
    return sound->position = base + offset;
}

static sf_count_t take(void *out, sf_count_t wanted, void *user) {
    keel_sound *sound = user;
    sf_count_t rest = sound->count - sound->position;
    if (wanted > rest) wanted = rest;
    if (wanted <= 0) return 0;
    memcpy(out, sound->bytes + sound->position, (size_t)wanted);
    sound->position += wanted;
    return wanted;
}

static sf_count_t give(const void *bytes, sf_count_t count, void *user) {
    return (void)bytes, (void)count, (void)user, 0;  // nothing is ever written
}

static SF_VIRTUAL_IO io = {length, seek, take, give, tell};

keel_sound *keel_sound_open(const uint8_t *bytes, size_t count, keel_sound_info *info, char *message) {
    keel_sound *sound = malloc(sizeof *sound);
    if (!sound) {
        snprintf(message, KEEL_DATA_MESSAGE, "not enough memory to decode it");
        return NULL;
    }
    *sound = (keel_sound){.bytes = bytes, .count = (sf_count_t)count};
    SF_INFO found = {0};
    sound->file = sf_open_virtual(&io, SFM_READ, &found, sound);
    if (!sound->file) {
        snprintf(message, KEEL_DATA_MESSAGE, "%s", sf_strerror(NULL));
        free(sound);
        return NULL;
    }
    *info = (keel_sound_info){.frames = found.frames, .channels = found.channels, .rate = found.samplerate};
    return sound;
}

int64_t keel_sound_read(keel_sound *sound, float *samples, int64_t frames, char *message) {
    int64_t read = sf_readf_float(sound->file, samples, frames);
    if (!sf_error(sound->file)) return read;
    snprintf(message, KEEL_DATA_MESSAGE, "%s", sf_strerror(sound->file));
    return -1;
}

void keel_sound_close(keel_sound *sound) {
    sf_close(sound->file);
    free(sound);
}
