// The bodies of the wrappers in CLinuxShims.h. Kept out of the header so that _GNU_SOURCE holds for them alone.

#define _GNU_SOURCE
#include "CLinuxShims.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

static int result_of(int rc) { return rc < 0 ? -errno : rc; }

int wiz_eventfd_create(void) { return result_of(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int wiz_eventfd_signal(int fd) {
    const uint64_t one = 1;
    for (;;) {
        if (write(fd, &one, sizeof one) == (ssize_t)sizeof one) return 0;
        if (errno == EAGAIN) return 0;  // The counter is full: the reader will wake anyway.
        if (errno != EINTR) return -errno;
    }
}

int64_t wiz_eventfd_drain(int fd) {
    uint64_t count = 0;
    for (;;) {
        if (read(fd, &count, sizeof count) == (ssize_t)sizeof count) return (int64_t)(count & INT64_MAX);
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) return -errno;
    }
}

int wiz_set_parent_death_signal(int signal_number) {
    return result_of(prctl(PR_SET_PDEATHSIG, (unsigned long)signal_number, 0UL, 0UL, 0UL));
}

int wiz_set_thread_name(const char *name) {
    char shortened[16];
    snprintf(shortened, sizeof shortened, "%s", name);
    return result_of(prctl(PR_SET_NAME, (unsigned long)shortened, 0UL, 0UL, 0UL));
}

int wiz_get_thread_name(char *buffer) {
    return result_of(prctl(PR_GET_NAME, (unsigned long)buffer, 0UL, 0UL, 0UL));
}

int32_t wiz_thread_id(void) { return (int32_t)syscall(SYS_gettid); }

int32_t wiz_parent_process_id(void) { return (int32_t)getppid(); }

int wiz_pidfd_open(int32_t pid) { return result_of((int)syscall(SYS_pidfd_open, (pid_t)pid, 0U)); }

int wiz_pidfd_send_signal(int pidfd, int signal_number) {
    return result_of((int)syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0U));
}

int wiz_kill(int32_t pid, int signal_number) { return result_of(kill((pid_t)pid, signal_number)); }

int wiz_peer_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -errno;
    if (length != sizeof credentials) return -EINVAL;
    *pid = (int32_t)credentials.pid;
    *uid = (uint32_t)credentials.uid;
    *gid = (uint32_t)credentials.gid;
    return 0;
}

int wiz_peer_host(int fd, char *buffer, size_t capacity) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &length) != 0) return -errno;
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return -EAFNOSUPPORT;
    int rc = getnameinfo((struct sockaddr *)&address, length, buffer, (socklen_t)capacity, NULL, 0, NI_NUMERICHOST);
    return rc == 0 ? 0 : -EINVAL;
}

int wiz_socket_path(int fd, char *buffer, size_t capacity) {
    struct sockaddr_un address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) return -errno;
    if (address.sun_family != AF_UNIX) return -EAFNOSUPPORT;
    const size_t count = strnlen(address.sun_path, sizeof address.sun_path);
    if (count == 0) return -ENOENT;
    if (count >= capacity) return -ENAMETOOLONG;
    memcpy(buffer, address.sun_path, count);
    buffer[count] = 0;
    return 0;
}

int wiz_shutdown_both(int fd) { return result_of(shutdown(fd, SHUT_RDWR)); }

int wiz_try_lock_exclusive(int fd) {
    int rc;
    do {
        rc = flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    return result_of(rc);
}

int wiz_unlock(int fd) { return result_of(flock(fd, LOCK_UN)); }

int wiz_open_lock_file(const char *path, uint32_t mode) {
    return result_of(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode));
}

int wiz_close(int fd) { return result_of(close(fd)); }

int wiz_get_open_file_limit(uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -errno;
    *soft = (uint64_t)limit.rlim_cur;
    *hard = (uint64_t)limit.rlim_max;
    return 0;
}

int64_t wiz_raise_open_file_limit(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -errno;
    if ((uint64_t)limit.rlim_cur >= wanted) return (int64_t)(limit.rlim_cur & INT64_MAX);
    limit.rlim_cur = (uint64_t)limit.rlim_max < wanted ? limit.rlim_max : (rlim_t)wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return -errno;
    return (int64_t)(limit.rlim_cur & INT64_MAX);
}

int64_t wiz_resident_byte_count(void) {
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t count = read(fd, text, sizeof text - 1);
    int failure = errno;
    close(fd);
    if (count < 0) return -failure;
    text[count] = '\0';
    long long total = 0, resident = 0;
    if (sscanf(text, "%lld %lld", &total, &resident) != 2) return -EINVAL;
    return (int64_t)resident * (int64_t)sysconf(_SC_PAGESIZE);
}

int64_t wiz_peak_resident_byte_count(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return -errno;
    return (int64_t)usage.ru_maxrss * 1024;
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) return -errno;
    return (int64_t)now.tv_sec * 1000000000LL + (int64_t)now.tv_nsec;
}

int64_t wiz_cpu_time_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

int64_t wiz_thread_cpu_time_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

static int entry_count(const char *directory) {
    DIR *listing = opendir(directory);
    if (listing == NULL) return -errno;
    int count = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        if (entry->d_name[0] != '.') count += 1;
    }
    closedir(listing);
    return count;
}

int wiz_open_file_count(void) {
    int count = entry_count("/proc/self/fd");
    return count > 0 ? count - 1 : count;  // Less the listing's own.
}

int wiz_thread_count(void) { return entry_count("/proc/self/task"); }

uint64_t wiz_malloc_in_use_byte_count(void) {
    struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
}

int wiz_random_bytes(void *buffer, size_t count) {
    unsigned char *next = buffer;
    while (count > 0) {
        ssize_t got = getrandom(next, count, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        next += got;
        count -= (size_t)got;
    }
    return 0;
}

int wiz_seed_libc_random(void) {
    unsigned int seed = 0;
    int rc = wiz_random_bytes(&seed, sizeof seed);
    if (rc != 0) return rc;
    srand(seed);
    return 0;
}

void wiz_print_by_lines(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

int64_t wiz_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

int64_t wiz_realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

uint64_t wiz_signal_bit(int signal_number) {
    return signal_number < 1 || signal_number > 64 ? 0 : 1ULL << (signal_number - 1);
}

static void fill_set(sigset_t *set, uint64_t signals) {
    sigemptyset(set);
    for (int number = 1; number <= 64; number += 1) {
        if (signals & wiz_signal_bit(number)) sigaddset(set, number);
    }
}

int wiz_block_signals(uint64_t signals) {
    sigset_t set;
    fill_set(&set, signals);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int wiz_unblock_signals(uint64_t signals) {
    sigset_t set;
    fill_set(&set, signals);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int wiz_signalfd_create(uint64_t signals) {
    sigset_t set;
    fill_set(&set, signals);
    return result_of(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int wiz_signalfd_read(int fd) {
    struct signalfd_siginfo info;
    for (;;) {
        if (read(fd, &info, sizeof info) == (ssize_t)sizeof info) return (int)info.ssi_signo;
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) return -errno;
    }
}

int wiz_ignore_signal(int signal_number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    return result_of(sigaction(signal_number, &action, NULL));
}

static int caught_signals[2] = {-1, -1};

static void tell_signal(int signal_number) {
    const int saved = errno;
    const unsigned char byte = (unsigned char)signal_number;
    // A full pipe has signals enough to be read.
    if (write(caught_signals[1], &byte, 1) < 0) errno = saved;
    errno = saved;
}

int wiz_catch_signals(uint64_t signals) {
    if (caught_signals[0] < 0 && pipe2(caught_signals, O_CLOEXEC | O_NONBLOCK) < 0) return -errno;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = tell_signal;
    action.sa_flags = SA_RESTART;
    for (int number = 1; number <= 64; number += 1) {
        if ((signals & (UINT64_C(1) << (number - 1))) == 0) continue;
        if (sigaction(number, &action, NULL) < 0) return -errno;
    }
    const int rc = wiz_unblock_signals(signals);
    return rc < 0 ? rc : caught_signals[0];
}

int wiz_thread_start(uint64_t *handle, size_t stack_byte_count, void *(*body)(void *), void *argument) {
    sigset_t blocked, before;
    sigfillset(&blocked);
    // Faults must keep their effect on the thread that caused them; SIGPROF belongs to profilers.
    const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    for (size_t index = 0; index < sizeof kept / sizeof kept[0]; index += 1) sigdelset(&blocked, kept[index]);

    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0) return -rc;
    if (stack_byte_count > 0) rc = pthread_attr_setstacksize(&attributes, stack_byte_count);
    pthread_t thread;
    if (rc == 0) {
        pthread_sigmask(SIG_SETMASK, &blocked, &before);
        rc = pthread_create(&thread, &attributes, body, argument);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    if (rc != 0) return -rc;
    *handle = (uint64_t)thread;
    return 0;
}

int wiz_thread_join(uint64_t handle) { return -pthread_join((pthread_t)handle, NULL); }

int wiz_thread_detach(uint64_t handle) { return -pthread_detach((pthread_t)handle); }

uint64_t wiz_thread_self(void) { return (uint64_t)pthread_self(); }

// Every step is opened without following links, so the last folder is below the first whatever happens meanwhile.
int wiz_open_beneath_by_steps(int folder, const char *path, int flags, uint32_t mode) {
    if (*path == '/') return -EXDEV;
    char step[256];
    int at = folder;
    int result = -ENOENT;
    for (;;) {
        const size_t length = strcspn(path, "/");
        if (length >= sizeof step) {
            result = -ENAMETOOLONG;
            break;
        }
        memcpy(step, path, length);
        step[length] = 0;
        const char *rest = path + length;
        while (*rest == '/') rest += 1;
        if (strcmp(step, "..") == 0) {
            result = -EXDEV;
            break;
        }
        const int is_last = *rest == 0;
        const int how = is_last ? flags | O_NOFOLLOW | O_CLOEXEC : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        const int next = openat(at, length == 0 ? "." : step, how, is_last ? mode : 0);
        result = next < 0 ? -errno : next;
        if (next < 0 || is_last) break;
        if (at != folder) close(at);
        at = next;
        path = rest;
    }
    if (at != folder) close(at);
    return result;
}

int wiz_open_beneath(int folder, const char *path, int flags, uint32_t mode) {
    if (*path == 0) path = ".";
    if (*path == '/') return -EXDEV;
#if defined(SYS_openat2) && defined(RESOLVE_BENEATH)
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC);
    how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const long rc = syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (rc >= 0) return (int)rc;
        if (errno == EINTR || errno == EAGAIN) continue;
        // Some sandboxes answer EPERM to system calls that they do not know.
        if (errno != ENOSYS && errno != EPERM) return -errno;
        break;
    }
#endif
    return wiz_open_beneath_by_steps(folder, path, flags, mode);
}
