// Linux calls that Swift cannot reach by itself: variadic ones, ones missing from the Glibc module, and a few that
// need several calls to be one safe step. Plain types only, so the header needs no feature macros of its importer.
// Unless a line says otherwise: 0 or a value on success, a negative errno on failure. Nothing here allocates.

#ifndef WIZ_LINUX_SHIMS_H
#define WIZ_LINUX_SHIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Event counters (eventfd), non-blocking and close-on-exec.
int wiz_eventfd_create(void);
int wiz_eventfd_signal(int fd);
// Resets the counter; the count it had, 0 if nothing was signalled.
int64_t wiz_eventfd_drain(int fd);

// This process and thread (prctl).
int wiz_set_parent_death_signal(int signal_number);
int wiz_set_thread_name(const char *name);
// The buffer must have room for 16 bytes.
int wiz_get_thread_name(char *buffer);
int32_t wiz_thread_id(void);
int32_t wiz_parent_process_id(void);

// Other processes.
int wiz_pidfd_open(int32_t pid);
int wiz_pidfd_send_signal(int pidfd, int signal_number);
int wiz_kill(int32_t pid, int signal_number);

// The peer of a connected socket.
int wiz_peer_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid);
// The peer's numeric host, NUL-terminated, without a port.
int wiz_peer_host(int fd, char *buffer, size_t capacity);
// The path that a unix socket was bound to, NUL-terminated: of an accepted connection, its listener's. Longer ones are refused.
int wiz_socket_path(int fd, char *buffer, size_t capacity);
int wiz_shutdown_both(int fd);

// Files. The lock is advisory, belongs to the open file and ends with the process.
int wiz_try_lock_exclusive(int fd);
int wiz_unlock(int fd);
int wiz_open_lock_file(const char *path, uint32_t mode);
int wiz_close(int fd);
// Opens what lies below a folder: a path that leads out of it is refused with EXDEV, one with a link in it with ELOOP (or
// ENOTDIR). Where the kernel has no openat2 the path is walked step by step, and ".." is refused altogether.
int wiz_open_beneath(int folder, const char *path, int flags, uint32_t mode);
int wiz_open_beneath_by_steps(int folder, const char *path, int flags, uint32_t mode);

// What a launcher does to itself before it runs a program.
int wiz_set_no_new_privileges(void);
// Becomes a user with one group and no others, for good.
int wiz_become(uint32_t uid, uint32_t gid);
// Installs a filter of system calls (struct sock_filter, 8 bytes each); needs no new privileges or CAP_SYS_ADMIN.
int wiz_install_seccomp(const void *program, size_t byte_count);
// Kills and abstract unix sockets reach nobody outside from here on; -ENOSYS or -EOPNOTSUPP where the kernel cannot.
int wiz_landlock_scope(void);
// The version of Landlock that the kernel has, 0 if none.
int wiz_landlock_version(void);
// This process becomes the parent of its descendants that lose theirs.
int wiz_set_child_subreaper(void);
// A mount namespace of its own, from which nothing gets out.
int wiz_unshare_mounts(void);
int wiz_mount_tmpfs(const char *folder, const char *options);
int wiz_mount_bind(const char *source, const char *target);
// The processors that this process, by its first thread, may run on, at most capacity of them; how many there are, or -errno.
int wiz_allowed_processors(int32_t *processors, int capacity);
// From now on the calling thread and what it starts run on these alone, as far as there are such.
int wiz_set_processors(const int32_t *processors, int count);
// Numbers of processors are below this.
int32_t wiz_max_processors(void);
// The numbers of resources that setrlimit knows: data, open files, file size, core, processes.
int wiz_limit_data(void);
int wiz_limit_open_files(void);
int wiz_limit_file_size(void);
int wiz_limit_core(void);
int wiz_limit_processes(void);
// Sets soft and hard limit, or as near as the present hard limit lets.
int wiz_set_limit(int resource, uint64_t value);
int wiz_set_close_on_exec(int fd, bool on);
// Waits for one of the signals, which must be blocked, at most so many milliseconds; its number, 0 when the time is over.
int wiz_wait_signal(uint64_t signals, int milliseconds);
// Listens on 127.0.0.1; the socket is not inherited.
int wiz_listen_loopback(uint16_t port);
// Connects to a unix socket; paths longer than the kernel's bound are refused.
int wiz_connect_unix(const char *path);
// Listens on a unix socket, which everybody who reaches its folder may connect to; the socket is not inherited.
int wiz_listen_unix(const char *path);
// A socket of a family and type, or a negative errno: what probes ask. Close-on-exec.
int wiz_try_socket(int family, int type, int protocol);
// Tries to connect to an abstract unix name.
int wiz_try_abstract(const char *name);
// Whether a text is anywhere among the bytes.
bool wiz_contains(const void *bytes, size_t count, const char *text);
// How a waited-for child ended.
bool wiz_status_exited(int status);
int wiz_status_code(int status);
int wiz_status_signal(int status);
// Name look-up: writes up to `capacity` addresses as text of 64 bytes each; how many, or a negative EAI code.
int wiz_resolve(const char *host, char *addresses, int capacity);
// Connects by address and port within so many milliseconds.
int wiz_connect_address(const char *address, uint16_t port, int milliseconds);

// Resources.
int wiz_get_open_file_limit(uint64_t *soft, uint64_t *hard);
// Raises the soft limit up to what is wanted or the hard limit allows; the limit now in force, or a negative errno.
int64_t wiz_raise_open_file_limit(uint64_t wanted);
int64_t wiz_resident_byte_count(void);
int64_t wiz_peak_resident_byte_count(void);
int64_t wiz_cpu_time_ns(void);
int64_t wiz_thread_cpu_time_ns(void);
int wiz_open_file_count(void);
int wiz_thread_count(void);
// Bytes that malloc has handed out and not got back.
uint64_t wiz_malloc_in_use_byte_count(void);

// Randomness.
int wiz_random_bytes(void *buffer, size_t count);
// Seeds libc's rand(), which nobody else does and libzmq draws its routing ids from.
int wiz_seed_libc_random(void);

// Standard output by lines also where it is a pipe, so that what is printed is read when it is printed.
void wiz_print_by_lines(void);

// Clocks, in nanoseconds.
int64_t wiz_monotonic_ns(void);
int64_t wiz_realtime_ns(void);

// Signals. A set is a bit mask: bit n-1 is signal n.
uint64_t wiz_signal_bit(int signal_number);
int wiz_block_signals(uint64_t signals);
int wiz_unblock_signals(uint64_t signals);
int wiz_signalfd_create(uint64_t signals);
// The number of a pending signal, 0 if none is pending.
int wiz_signalfd_read(int fd);
int wiz_ignore_signal(int signal_number);
// Catches signals on whichever thread they come: each arrives as one byte, its number, on the descriptor returned.
// Once in a process: a second call adds signals and returns the same descriptor.
int wiz_catch_signals(uint64_t signals);

// A joinable thread that starts with every asynchronous signal blocked.
int wiz_thread_start(uint64_t *handle, size_t stack_byte_count, void *(*body)(void *), void *argument);
int wiz_thread_join(uint64_t handle);
int wiz_thread_detach(uint64_t handle);
uint64_t wiz_thread_self(void);

#endif
