// The few system calls that Swift can't make safely by itself: starting a child process from a multithreaded parent, and
// the pidfd family.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/types.h>

struct slipway_limit {
    int resource;  // RLIMIT_...
    rlim_t value;  // soft and hard
};

enum slipway_group {
    SLIPWAY_GROUP_SAME,         // stays in the parent's process group
    SLIPWAY_GROUP_NEW,          // leads a process group of its own
    SLIPWAY_GROUP_NEW_SESSION,  // leads a session of its own
};

// What the child was doing when it failed.
enum slipway_stage {
    SLIPWAY_STAGE_NONE,
    SLIPWAY_STAGE_CLONE,
    SLIPWAY_STAGE_GROUP,
    SLIPWAY_STAGE_DESCRIPTORS,
    SLIPWAY_STAGE_LIMITS,
    SLIPWAY_STAGE_USER,
    SLIPWAY_STAGE_PARENT,
    SLIPWAY_STAGE_DIRECTORY,
    SLIPWAY_STAGE_EXEC,
};

struct slipway_spawn_request {
    const char *path;            // of the executable; not searched for
    char *const *argv;           // NULL-terminated
    char *const *envp;           // NULL-terminated
    const char *directory;       // working directory, or NULL
    const int *descriptors;      // descriptor i of the child is a copy of descriptors[i]; all others are closed
    size_t descriptor_count;     // at least 3, at most SLIPWAY_MAXIMUM_DESCRIPTORS
    const struct slipway_limit *limits;
    size_t limit_count;
    enum slipway_group group;
    bool switches_user;          // to uid and gid below, without supplementary groups
    uid_t uid;
    gid_t gid;
    int death_signal;            // sent when the spawning thread ends; 0 for none
    int oom_score_adjustment;    // -1000...1000; 0 leaves it as it is
    mode_t file_mode_mask;       // umask
};

enum { SLIPWAY_MAXIMUM_DESCRIPTORS = 16 };

// Starts a child process. Returns 0, or an errno with the stage that failed in `*failed`; then no child is left.
// The calling thread waits until the child has executed its program. Signals of the child have their default actions.
int slipway_spawn(const struct slipway_spawn_request *request, pid_t *pid, int *pidfd, enum slipway_stage *failed);

// A descriptor that becomes readable when the process ends; -1 and errno.
int slipway_pidfd_open(pid_t pid);
int slipway_pidfd_send_signal(int pidfd, int signal);

enum slipway_wait { SLIPWAY_WAIT_RUNNING, SLIPWAY_WAIT_EXITED, SLIPWAY_WAIT_SIGNALLED, SLIPWAY_WAIT_FAILED };

// Never blocks. With `reap` false, the zombie stays. `*status` is the exit code, the signal, or the errno.
enum slipway_wait slipway_wait(int pidfd, bool reap, int *status, struct rusage *usage);

// Writes back the whole file system that the descriptor is on. 0, or -1 and errno.
int slipway_syncfs(int descriptor);
