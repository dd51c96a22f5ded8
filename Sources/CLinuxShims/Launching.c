// The bodies of the wrappers with which a launcher prepares itself for a program, and with which sandboxes are asked.

#define _GNU_SOURCE
#include "CLinuxShims.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int result_of(int rc) { return rc < 0 ? -errno : rc; }

int wiz_set_no_new_privileges(void) { return result_of(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL)); }

int wiz_become(uint32_t uid, uint32_t gid) {
    if (setgroups(0, NULL) != 0) return -errno;
    if (setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) != 0) return -errno;
    if (setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) != 0) return -errno;
    // For good: a way back would be a fault.
    if (uid != 0 && setuid(0) == 0) return -EPERM;
    return 0;
}

int wiz_install_seccomp(const void *program, size_t byte_count) {
    if (byte_count == 0 || byte_count % sizeof(struct sock_filter) != 0) return -EINVAL;
    if (byte_count / sizeof(struct sock_filter) > 4096) return -EINVAL;
    struct sock_fprog filter = {
        .len = (unsigned short)(byte_count / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(uintptr_t)program,
    };
    return result_of(prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, (unsigned long)&filter, 0UL, 0UL));
}

// Own definitions: headers older than the kernel know no scopes.
enum { create_ruleset = 444, restrict_self = 446, version_flag = 1, scope_abstract = 1, scope_signal = 2 };

int wiz_landlock_version(void) {
    const long version = syscall(create_ruleset, NULL, (size_t)0, (unsigned)version_flag);
    return version < 0 ? 0 : (int)version;
}

int wiz_landlock_scope(void) {
    if (wiz_landlock_version() < 6) return -EOPNOTSUPP;
    struct {
        uint64_t handled_access_fs, handled_access_net, scoped;
    } attributes = {0, 0, scope_abstract | scope_signal};
    const int ruleset = (int)syscall(create_ruleset, &attributes, sizeof attributes, 0U);
    if (ruleset < 0) return -errno;
    int rc = wiz_set_no_new_privileges();
    if (rc == 0) rc = result_of((int)syscall(restrict_self, ruleset, 0U));
    close(ruleset);
    return rc;
}

int wiz_set_child_subreaper(void) { return result_of(prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL)); }

int wiz_unshare_mounts(void) {
    if (unshare(CLONE_NEWNS) != 0) return -errno;
    return result_of(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

int wiz_mount_tmpfs(const char *folder, const char *options) {
    return result_of(mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, options));
}

int wiz_mount_bind(const char *source, const char *target) {
    return result_of(mount(source, target, NULL, MS_BIND | MS_REC, NULL));
}

int wiz_allowed_processors(int32_t *processors, int capacity) {
    cpu_set_t set;
    if (sched_getaffinity(getpid(), sizeof set, &set) != 0) return -errno;
    int count = 0;
    for (int number = 0; number < CPU_SETSIZE && count < capacity; number++) {
        if (CPU_ISSET(number, &set)) processors[count++] = number;
    }
    return count;
}

int wiz_set_processors(const int32_t *processors, int count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int index = 0; index < count; index++) {
        if (processors[index] < 0 || processors[index] >= CPU_SETSIZE) return -EINVAL;
        CPU_SET(processors[index], &set);
    }
    return result_of(sched_setaffinity(0, sizeof set, &set));
}

int32_t wiz_max_processors(void) { return CPU_SETSIZE; }

int wiz_limit_data(void) { return RLIMIT_DATA; }
int wiz_limit_open_files(void) { return RLIMIT_NOFILE; }
int wiz_limit_file_size(void) { return RLIMIT_FSIZE; }
int wiz_limit_core(void) { return RLIMIT_CORE; }
int wiz_limit_processes(void) { return RLIMIT_NPROC; }

int wiz_set_limit(int resource, uint64_t value) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) return -errno;
    if ((uint64_t)limit.rlim_max > value) limit.rlim_max = (rlim_t)value;
    limit.rlim_cur = limit.rlim_max;
    return result_of(setrlimit((__rlimit_resource_t)resource, &limit));
}

int wiz_set_close_on_exec(int fd, bool on) { return result_of(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0)); }

int wiz_wait_signal(uint64_t signals, int milliseconds) {
    sigset_t set;
    sigemptyset(&set);
    for (int number = 1; number <= 64; number += 1) {
        if (signals & wiz_signal_bit(number)) sigaddset(&set, number);
    }
    const struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    const int number = sigtimedwait(&set, NULL, &time);
    if (number > 0) return number;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int wiz_listen_loopback(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0) {
        const int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

static int unix_address(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

static int connect_unix(const struct sockaddr_un *address, socklen_t length) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (const struct sockaddr *)address, length) != 0) {
        const int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

int wiz_connect_unix(const char *path) {
    struct sockaddr_un address;
    const int rc = unix_address(path, &address);
    return rc < 0 ? rc : connect_unix(&address, (socklen_t)sizeof address);
}

int wiz_listen_unix(const char *path) {
    struct sockaddr_un address;
    int rc = unix_address(path, &address);
    if (rc < 0) return rc;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || chmod(path, 0666) != 0 || listen(fd, 64) != 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int wiz_try_socket(int family, int type, int protocol) {
    return result_of(socket(family, type | SOCK_CLOEXEC, protocol));
}

int wiz_try_abstract(const char *name) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    const size_t length = strlen(name);
    if (length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path + 1, name, length);
    return connect_unix(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

bool wiz_contains(const void *bytes, size_t count, const char *text) {
    return memmem(bytes, count, text, strlen(text)) != NULL;
}

bool wiz_status_exited(int status) { return WIFEXITED(status); }
int wiz_status_code(int status) { return WEXITSTATUS(status); }
int wiz_status_signal(int status) { return WTERMSIG(status); }

int wiz_resolve(const char *host, char *addresses, int capacity) {
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    const int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0) return rc < 0 ? rc : -rc;
    int count = 0;
    for (struct addrinfo *next = found; next != NULL && count < capacity; next = next->ai_next) {
        // Numeric text is what is checked and what is dialled: the two cannot differ.
        char *text = addresses + 64 * count;
        if (getnameinfo(next->ai_addr, next->ai_addrlen, text, 64, NULL, 0, NI_NUMERICHOST) == 0) count += 1;
    }
    freeaddrinfo(found);
    return count;
}

int wiz_connect_address(const char *address, uint16_t port, int milliseconds) {
    struct addrinfo hints, *found = NULL;
    char service[8];
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (getaddrinfo(address, service, &hints, &found) != 0) return -EINVAL;
    int rc = 0;
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) rc = -errno;
    if (rc == 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) rc = -errno;
    freeaddrinfo(found);
    if (rc == -EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        do {
            rc = poll(&wait, 1, milliseconds);
        } while (rc < 0 && errno == EINTR);
        if (rc == 0) {
            rc = -ETIMEDOUT;
        } else {
            int failure = 0;
            socklen_t length = sizeof failure;
            rc = getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) != 0 ? -errno : -failure;
        }
    }
    if (rc == 0 && fcntl(fd, F_SETFL, 0) != 0) rc = -errno;
    if (rc == 0) return fd;
    if (fd >= 0) close(fd);
    return rc;
}
