// Counts who allocates: preloaded into the broker, it stands before malloc and sorts each call by the library that made it
// (its return address) and by thread. Swift's runtime allocates objects and buffers through malloc inside libswiftCore,
// so those are Swift allocations; libzmq's are its messages; the executable's own are frames (zmq_msg_t).
// The counts are in the file that WIZ_ALLOCATION_COUNTS names, mapped, for mesh-bench to read at any time.

#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { swift_runtime, executable, zeromq, other, kind_count };
enum { slot_count = 64, range_count = 256 };

// One line of the table: a thread, and its calls by kind.
struct slot {
    _Atomic int64_t thread;
    _Atomic int64_t calls[kind_count];
};

struct range {
    uintptr_t start, end;
    int kind;
};

static struct slot local[slot_count];
static struct slot *slots = local;
static atomic_int used;
static struct range ranges[range_count];
static int ranges_used;
static atomic_int ready;
static __thread struct slot *mine __attribute__((tls_model("initial-exec")));

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static int kind_of(const char *name) {
    if (!name || !*name) return executable;
    const char *base = strrchr(name, '/');
    base = base ? base + 1 : name;
    if (strncmp(base, "libswift", 8) == 0 || strncmp(base, "libFoundation", 13) == 0) return swift_runtime;
    if (strncmp(base, "libzmq", 6) == 0 || strncmp(base, "libsodium", 9) == 0) return zeromq;
    // libzmq's own operator new.
    if (strncmp(base, "libstdc++", 9) == 0) return zeromq;
    return other;
}

static int note(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (int i = 0; i < info->dlpi_phnum && ranges_used < range_count; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        ranges[ranges_used++] = (struct range){start, start + header->p_memsz, kind_of(info->dlpi_name)};
    }
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WIZ_ALLOCATION_COUNTS");
    if (!path) return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof local) != 0) return;
    void *shared = mmap(NULL, sizeof local, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED) return;
    slots = shared;
    dl_iterate_phdr(note, NULL);
    atomic_store(&ready, 1);
}

static void count(void *caller) {
    if (!atomic_load_explicit(&ready, memory_order_relaxed)) return;
    if (!mine) {
        int index = atomic_fetch_add(&used, 1);
        mine = &slots[index < slot_count ? index : slot_count - 1];
        atomic_store(&mine->thread, syscall(SYS_gettid));
    }
    uintptr_t address = (uintptr_t)caller;
    int kind = other;
    for (int i = 0; i < ranges_used; i++) {
        if (address >= ranges[i].start && address < ranges[i].end) {
            kind = ranges[i].kind;
            break;
        }
    }
    atomic_fetch_add_explicit(&mine->calls[kind], 1, memory_order_relaxed);
}

void *malloc(size_t size) {
    count(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(__builtin_return_address(0));
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count(__builtin_return_address(0));
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    count(__builtin_return_address(0));
    *result = __libc_memalign(alignment, size);
    return *result ? 0 : 12;
}
