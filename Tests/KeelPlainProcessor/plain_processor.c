// A processor without AVX2: a program that links this file runs every kernel as plain C, whatever it runs on.
//
// `target_clones` and `__builtin_cpu_supports` read these three, which otherwise come from an archive of the compiler (libgcc or compiler-rt;
// they agree on the names and the layout). An archive's are taken only where no object has them. A vendor says that the processor has been
// looked at; that no bit is set, that it has nothing beyond what every x86-64 has.
#include "plain_processor.h"

#ifdef __x86_64__
#include <stdint.h>

#define HIDDEN __attribute__((visibility("hidden")))

#define VENDOR_OTHER 3
HIDDEN struct {
    uint32_t vendor, type, subtype, features;
} __cpu_model = {.vendor = VENDOR_OTHER};
HIDDEN uint32_t __cpu_features2[8];
HIDDEN int __cpu_indicator_init(void) { return 0; }

int32_t keel_processor_is_plain(void) { return !__builtin_cpu_supports("x86-64-v3") && !__builtin_cpu_supports("avx"); }
#else
int32_t keel_processor_is_plain(void) { return 1; }
#endif
