// The same work over nats-server with NATS's own C client: echo worker, closed-loop caller, streams with credit, fan-out.
// Prints the line of numbers that mesh-bench's drivers print. Built by Scripts/bench.sh when libnats-dev is there.
//   nats-bench worker URL ASAP
//   nats-bench unary|stream|fan-out URL ASAP COUNT SIZE MILLISECONDS
// ASAP 1 sends each message at once, 0 lets the client gather them: the first is better alone, the second in bulk.

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { window = 16, chunk_count = 4000, maximum_samples = 4 << 20, maximum_streams = 1 << 16 };

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void check(natsStatus status, const char *what) {
    if (status == NATS_OK) return;
    fprintf(stderr, "nats-bench: %s: %s\n", what, natsStatus_GetText(status));
    exit(1);
}

static natsConnection *dial(const char *url, int asap, int shared_threads) {
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), "url");
    check(natsOptions_SetSendAsap(options, asap != 0), "send asap");
    if (shared_threads) check(natsOptions_UseGlobalMessageDelivery(options, true), "delivery threads");
    check(natsConnection_Connect(&connection, options), "connect");
    natsOptions_Destroy(options);
    return connection;
}

static natsSubscription *listen_to(natsConnection *c, const char *subject, natsMsgHandler handler, void *closure) {
    natsSubscription *subscription = NULL;
    check(natsConnection_Subscribe(&subscription, c, subject, handler, closure), subject);
    check(natsSubscription_SetPendingLimits(subscription, -1, -1), "limits");
    return subscription;
}

// Workers of both kinds may be there at once, so each kind has its subjects.
static char echo_subject[32], stream_subject[32];

static void name_subjects(int asap) {
    snprintf(echo_subject, sizeof echo_subject, "bench.echo.%d", asap);
    snprintf(stream_subject, sizeof stream_subject, "bench.stream.%d", asap);
}

// MARK: worker

struct stream { uint32_t credit, remaining, size; char reply[64]; };
static struct stream streams[maximum_streams];
struct request { uint32_t operation, place, amount, size; };

static void echo(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure) {
    (void)s, (void)closure;
    natsConnection_Publish(c, natsMsg_GetReply(m), natsMsg_GetData(m), natsMsg_GetDataLength(m));
    natsMsg_Destroy(m);
}

static void stream(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure) {
    (void)s, (void)closure;
    static char buffer[1 << 16];
    struct request request;
    memcpy(&request, natsMsg_GetData(m), sizeof request);
    struct stream *stream = &streams[request.place % maximum_streams];
    if (request.operation == 0) {
        stream->remaining = request.amount, stream->size = request.size, stream->credit = window;
        snprintf(stream->reply, sizeof stream->reply, "%s", natsMsg_GetReply(m));
    } else {
        stream->credit += request.amount;
    }
    while (stream->remaining > 0 && stream->credit > 0) {
        stream->remaining--, stream->credit--;
        uint32_t mark = request.place | (stream->remaining == 0 ? 1u << 31 : 0);
        memcpy(buffer, &mark, sizeof mark);
        natsConnection_Publish(c, stream->reply, buffer, (int)stream->size);
    }
    natsMsg_Destroy(m);
}

static int worker(const char *url, int asap) {
    natsConnection *c = dial(url, asap, 0);
    name_subjects(asap);
    listen_to(c, echo_subject, echo, NULL);
    listen_to(c, stream_subject, stream, NULL);
    check(natsConnection_FlushTimeout(c, 5000), "flush");
    printf("ready\n");
    fflush(stdout);
    for (;;) pause();
    return 0;
}

// MARK: drivers

static atomic_int measuring, stopping;
static atomic_long total;
static int64_t *samples;
static char *payload, inbox[64];
static int size, count;

static void call(natsConnection *c) {
    int64_t at = now_ns();
    memcpy(payload, &at, sizeof at);
    natsConnection_PublishRequest(c, echo_subject, inbox, payload, size);
}

static void answered(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure) {
    (void)s, (void)closure;
    int64_t sent;
    memcpy(&sent, natsMsg_GetData(m), sizeof sent);
    natsMsg_Destroy(m);
    if (atomic_load_explicit(&measuring, memory_order_relaxed)) {
        long n = atomic_fetch_add_explicit(&total, 1, memory_order_relaxed);
        if (n < maximum_samples) samples[n] = now_ns() - sent;
    }
    if (!atomic_load_explicit(&stopping, memory_order_relaxed)) call(c);
}

static void open_stream(natsConnection *c, uint32_t place) {
    struct request request = {0, place, chunk_count, (uint32_t)size};
    natsConnection_PublishRequest(c, stream_subject, inbox, &request, sizeof request);
}

static void chunk(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure) {
    (void)s, (void)closure;
    static uint32_t unread[maximum_streams];
    uint32_t mark;
    memcpy(&mark, natsMsg_GetData(m), sizeof mark);
    natsMsg_Destroy(m);
    uint32_t place = mark & 0xffff;
    if (atomic_load_explicit(&measuring, memory_order_relaxed)) atomic_fetch_add(&total, 1);
    if (atomic_load_explicit(&stopping, memory_order_relaxed)) return;
    if (mark >> 31) {
        unread[place] = 0;
        open_stream(c, place);
    } else if (++unread[place] == window / 2) {
        unread[place] = 0;
        struct request credit = {1, place, window / 2, 0};
        natsConnection_Publish(c, stream_subject, &credit, sizeof credit);
    }
}

static void delivered(natsConnection *c, natsSubscription *s, natsMsg *m, void *closure) {
    (void)c, (void)s, (void)closure;
    natsMsg_Destroy(m);
    atomic_fetch_add_explicit(&total, 1, memory_order_relaxed);
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(long n, double seconds, int has_samples) {
    long kept = n < maximum_samples ? n : maximum_samples;
    printf("count %ld seconds %.6f", n, seconds);
    if (has_samples && kept > 0) {
        qsort(samples, (size_t)kept, sizeof *samples, ascending);
        printf(" p50 %lld p90 %lld p99 %lld p999 %lld", (long long)samples[kept / 2], (long long)samples[kept * 9 / 10],
               (long long)samples[kept * 99 / 100], (long long)samples[kept * 999 / 1000]);
    }
    printf("\n");
    fflush(stdout);
    _exit(0);
}

static int closed_loop(const char *url, int asap, int milliseconds, int is_stream) {
    natsConnection *c = dial(url, asap, 0);
    name_subjects(asap);
    snprintf(inbox, sizeof inbox, "bench.inbox.%d", (int)getpid());
    listen_to(c, inbox, is_stream ? chunk : answered, NULL);
    check(natsConnection_FlushTimeout(c, 5000), "flush");
    for (int i = 0; i < count; i++) {
        if (is_stream) open_stream(c, (uint32_t)i);
        else call(c);
    }
    usleep((useconds_t)milliseconds * 200);
    int64_t start = now_ns();
    atomic_store(&measuring, 1);
    usleep((useconds_t)milliseconds * 1000);
    atomic_store(&measuring, 0);
    double seconds = (double)(now_ns() - start) / 1e9;
    atomic_store(&stopping, 1);
    usleep(20000);
    report(atomic_load(&total), seconds, !is_stream);
    return 0;
}

static int fan_out(const char *url, int asap, int milliseconds) {
    check(nats_Open(-1), "open");
    check(nats_SetMessageDeliveryPoolSize(2), "delivery threads");
    for (int i = 0; i < count; i++) {
        natsConnection *c = dial(url, asap, 1);
        listen_to(c, "bench.event", delivered, NULL);
        check(natsConnection_FlushTimeout(c, 5000), "flush");
    }
    natsConnection *publisher = dial(url, asap, 1);
    long allowance = 1000 / count > 16 ? 1000 / count : 16, sent = 0, before = 0;
    int64_t start = now_ns(), begin = start + (int64_t)milliseconds * 200000, end = begin + (int64_t)milliseconds * 1000000;
    int64_t began = 0, now;
    while ((now = now_ns()) < end) {
        if (began == 0 && now >= begin) began = now, before = atomic_load(&total);
        if (sent * count - atomic_load_explicit(&total, memory_order_relaxed) < allowance * count) {
            natsConnection_Publish(publisher, "bench.event", payload, size);
            sent++;
        } else {
            usleep(20);
        }
    }
    report(atomic_load(&total) - before, (double)(now - began) / 1e9, 0);
    return 0;
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 4 && strcmp(argv[1], "worker") == 0) return worker(argv[2], atoi(argv[3]));
    if (argc != 7) return fprintf(stderr, "nats-bench: see the top of nats-bench.c\n"), 2;
    count = atoi(argv[4]), size = atoi(argv[5]);
    payload = calloc(1, (size_t)size + 8);
    samples = malloc(sizeof *samples * maximum_samples);
    if (!payload || !samples) return 1;
    if (strcmp(argv[1], "unary") == 0) return closed_loop(argv[2], atoi(argv[3]), atoi(argv[6]), 0);
    if (strcmp(argv[1], "stream") == 0) return closed_loop(argv[2], atoi(argv[3]), atoi(argv[6]), 1);
    return fan_out(argv[2], atoi(argv[3]), atoi(argv[6]));
}
