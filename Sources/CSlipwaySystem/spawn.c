// A child process from a multithreaded parent.
//
// The child shares the parent's memory until it executes its program (CLONE_VM), and the calling thread is suspended that
// long (CLONE_VFORK): no page table is copied, however large the parent, and an error is simply stored. So the child may
// only make system calls, and those that glibc would broadcast to "all threads" (set*id) must be raw.
#define _GNU_SOURCE
#include "CSlipwaySystem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { STACK_BYTES = 64 * 1024 };

struct child {
    const struct slipway_spawn_request *request;
    pid_t parent;
    int error;
    enum slipway_stage stage;
};

static bool close_from(unsigned first) {
    if (syscall(SYS_close_range, first, ~0u, 0) == 0) return true;
    if (errno != ENOSYS && errno != EPERM) return false;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    for (unsigned long descriptor = first; descriptor < limit.rlim_cur; descriptor++) close((int)descriptor);
    return true;
}

// Two passes, because a source may be another's target: first all out of the way, then each to its place.
static bool place_descriptors(const struct slipway_spawn_request *request) {
    int copies[SLIPWAY_MAXIMUM_DESCRIPTORS];
    const int count = (int)request->descriptor_count;
    for (int i = 0; i < count; i++) {
        copies[i] = fcntl(request->descriptors[i], F_DUPFD, count);
        if (copies[i] < 0) return false;
    }
    for (int i = 0; i < count; i++) {
        if (dup2(copies[i], i) < 0) return false;
    }
    return close_from((unsigned)count);
}

static bool adjust_oom_score(int adjustment) {
    char text[8];
    size_t end = sizeof text;
    unsigned magnitude = adjustment < 0 ? -(unsigned)adjustment : (unsigned)adjustment;
    do { text[--end] = (char)('0' + magnitude % 10); magnitude /= 10; } while (magnitude > 0 && end > 1);
    if (adjustment < 0) text[--end] = '-';
    const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t length = (ssize_t)(sizeof text - end);
    const bool written = write(file, text + end, (size_t)length) == length;
    close(file);
    return written;
}

static bool set_limits(const struct slipway_spawn_request *request) {
    for (size_t i = 0; i < request->limit_count; i++) {
        const struct rlimit limit = {request->limits[i].value, request->limits[i].value};
        if (setrlimit((__rlimit_resource_t)request->limits[i].resource, &limit) != 0) return false;
    }
    return request->oom_score_adjustment == 0 || adjust_oom_score(request->oom_score_adjustment);
}

static bool switch_user(const struct slipway_spawn_request *request) {
    return syscall(SYS_setgroups, 0, NULL) == 0
        && syscall(SYS_setresgid, request->gid, request->gid, request->gid) == 0
        && syscall(SYS_setresuid, request->uid, request->uid, request->uid) == 0;
}

// The parent's handlers don't exist in the program to come, and must not run in memory that is shared with the parent.
static void reset_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int run_child(void *argument) {
    struct child *const child = argument;
    const struct slipway_spawn_request *const request = child->request;
#define STEP(name, condition) do { child->stage = (name); if (!(condition)) goto failed; } while (0)
    reset_signals();
    umask(request->file_mode_mask);
    STEP(SLIPWAY_STAGE_GROUP, request->group != SLIPWAY_GROUP_NEW || setpgid(0, 0) == 0);
    STEP(SLIPWAY_STAGE_GROUP, request->group != SLIPWAY_GROUP_NEW_SESSION || setsid() >= 0);
    STEP(SLIPWAY_STAGE_DESCRIPTORS, place_descriptors(request));
    STEP(SLIPWAY_STAGE_LIMITS, set_limits(request));
    STEP(SLIPWAY_STAGE_USER, !request->switches_user || switch_user(request));
    // After the change of user, which clears it. A parent that died before this line would never be noticed.
    if (request->death_signal != 0) {
        STEP(SLIPWAY_STAGE_PARENT, prctl(PR_SET_PDEATHSIG, request->death_signal, 0, 0, 0) == 0);
        errno = ESRCH;
        STEP(SLIPWAY_STAGE_PARENT, getppid() == child->parent);
    }
    STEP(SLIPWAY_STAGE_DIRECTORY, request->directory == NULL || chdir(request->directory) == 0);
    child->stage = SLIPWAY_STAGE_EXEC;
    execve(request->path, request->argv, request->envp);
#undef STEP
failed:
    child->error = errno != 0 ? errno : EIO;
    _exit(127);
}

int slipway_spawn(const struct slipway_spawn_request *request, pid_t *pid, int *pidfd, enum slipway_stage *failed) {
    *failed = SLIPWAY_STAGE_DESCRIPTORS;
    if (request->descriptor_count < 3 || request->descriptor_count > SLIPWAY_MAXIMUM_DESCRIPTORS) return EINVAL;
    *failed = SLIPWAY_STAGE_CLONE;
    char *const stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;

    struct child child = {.request = request, .parent = getpid(), .error = 0, .stage = SLIPWAY_STAGE_CLONE};
    sigset_t all, mask;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &mask);
    int descriptor = -1;
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    const pid_t started = clone(run_child, stack + STACK_BYTES, flags, &child, &descriptor);
    int error = started < 0 ? errno : child.error;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    munmap(stack, STACK_BYTES);

    if (error != 0) {
        *failed = child.stage;
        if (started >= 0) {
            while (waitpid(started, NULL, 0) < 0 && errno == EINTR) {}
            close(descriptor);
        }
        return error;
    }
    *failed = SLIPWAY_STAGE_NONE;
    *pid = started;
    *pidfd = descriptor;
    return 0;
}

int slipway_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int slipway_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

enum slipway_wait slipway_wait(int pidfd, bool reap, int *status, struct rusage *usage) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    // The system call gives the child's resource usage, which the library's waitid leaves out.
    const int options = WEXITED | WNOHANG | (reap ? 0 : WNOWAIT);
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, options, usage) != 0) {
        *status = errno;
        return errno == EINTR ? SLIPWAY_WAIT_RUNNING : SLIPWAY_WAIT_FAILED;
    }
    if (info.si_pid == 0) return SLIPWAY_WAIT_RUNNING;
    *status = info.si_status;
    return info.si_code == CLD_EXITED ? SLIPWAY_WAIT_EXITED : SLIPWAY_WAIT_SIGNALLED;
}
