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
