/*
 * Replay a script of requests over one connected stream socket and time every window of them.
 *
 *   driver FD SCRIPT WINDOW COUNT
 *
 * A window is WINDOW consecutive requests sent with one write and answered in full before the next window starts:
 * WINDOW 1 is sequential, larger ones are pipelined, and a batch frame is one request.  COUNT windows are run; the
 * script is replayed from its beginning when it is shorter.  The durations go to standard output as COUNT 32-bit
 * numbers of nanoseconds in the machine's byte order.
 *
 * The driver knows no protocol.  A script says what to send, how long each answer is and which of its bits must have
 * which values; the first answer that differs ends the run.  Every server is therefore asked by the same instructions.
 *
 * poll() comes before every read(): a reader that sleeps inside read() on a UNIX stream is woken for nothing when the
 * server consumes its request, and that costs both sides a context switch.
 *
 * Exit status: 0 all answers as expected, 1 an answer differs, 2 the run could not be made or was not finished.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_MS = 20000, SHOWN_BYTES = 64 };

#define MAGIC UINT32_C(0x31424756) /* "VGB1" */

/* The file: header, request lengths, answer lengths, requests, answers, masks (as long as the answers). */
struct header {
    uint32_t magic;
    uint32_t frames;
    uint32_t request_bytes;
    uint32_t answer_bytes;
};

struct script {
    uint32_t frames;
    const uint32_t *request_length;
    const uint32_t *answer_length;
    const unsigned char *requests;
    const unsigned char *answers;
    const unsigned char *masks;
};

struct window {
    size_t request_at, request_bytes;
    size_t answer_at, answer_bytes;
};

static void fail(const char *what)
{
    fprintf(stderr, "driver: %s: %s\n", what, errno ? strerror(errno) : "malformed");
    exit(2);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        fail("memory");
    return memory;
}

static unsigned char *load(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        fail(path);
    long size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0)
        fail(path);
    unsigned char *bytes = allocate((size_t)size, 1);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size)
        fail(path);
    fclose(file);
    *length = (size_t)size;
    return bytes;
}

static uint64_t total(const uint32_t *lengths, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += lengths[i];
    return sum;
}

static struct script parse(const unsigned char *bytes, size_t length, const char *path)
{
    struct header header;
    errno = 0;
    if (length < sizeof header)
        fail(path);
    memcpy(&header, bytes, sizeof header);
    uint64_t lengths = (uint64_t)header.frames * sizeof(uint32_t);
    uint64_t expected = sizeof header + 2 * lengths + header.request_bytes + 2 * (uint64_t)header.answer_bytes;
    if (header.magic != MAGIC || header.frames == 0 || expected != length)
        fail(path);

    uint32_t *table = allocate(2 * (size_t)header.frames, sizeof *table);
    memcpy(table, bytes + sizeof header, 2 * lengths);
    const unsigned char *requests = bytes + sizeof header + 2 * lengths;
    struct script script = {
        .frames = header.frames,
        .request_length = table,
        .answer_length = table + header.frames,
        .requests = requests,
        .answers = requests + header.request_bytes,
        .masks = requests + header.request_bytes + header.answer_bytes,
    };
    if (total(script.request_length, script.frames) != header.request_bytes
        || total(script.answer_length, script.frames) != header.answer_bytes)
        fail(path);
    return script;
}

/* Cut the script into windows beforehand, so that the timed loop only adds pointers. */
static struct window *cut(const struct script *script, uint32_t size, uint32_t *count)
{
    *count = script->frames / size;
    struct window *windows = allocate(*count, sizeof *windows);
    size_t request_at = 0, answer_at = 0;
    for (uint32_t w = 0; w < *count; w++) {
        windows[w].request_at = request_at;
        windows[w].answer_at = answer_at;
        for (uint32_t i = w * size; i < (w + 1) * size; i++) {
            request_at += script->request_length[i];
            answer_at += script->answer_length[i];
        }
        windows[w].request_bytes = request_at - windows[w].request_at;
        windows[w].answer_bytes = answer_at - windows[w].answer_at;
    }
    return windows;
}

static void send_all(int fd, const unsigned char *bytes, size_t length)
{
    while (length) {
        ssize_t sent = write(fd, bytes, length);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            fail("write");
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void receive_all(int fd, unsigned char *bytes, size_t length)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    while (length) {
        int ready = poll(&waiting, 1, ANSWER_TIMEOUT_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready <= 0)
            fail("poll");
        ssize_t got = read(fd, bytes, length);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got == 0)
            errno = ECONNRESET;
        if (got <= 0)
            fail("read");
        bytes += got;
        length -= (size_t)got;
    }
}

static bool matches(const unsigned char *got, const unsigned char *expected, const unsigned char *mask, size_t length)
{
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)((got[i] ^ expected[i]) & mask[i]);
    return difference == 0;
}

static void show(const char *label, const unsigned char *bytes, size_t length)
{
    fprintf(stderr, "  %-9s", label);
    for (size_t i = 0; i < length && i < SHOWN_BYTES; i++)
        fprintf(stderr, "%s%02x", i % 4 ? "" : " ", bytes[i]);
    fprintf(stderr, "%s\n", length > SHOWN_BYTES ? " ..." : "");
}

static void report(const struct script *script, uint32_t first, uint32_t size, const unsigned char *got,
                             const struct window *window)
{
    size_t at = window->answer_at;
    for (uint32_t i = first; i < first + size; i++) {
        size_t length = script->answer_length[i];
        if (!matches(got, script->answers + at, script->masks + at, length)) {
            size_t byte = 0;
            while (matches(got + byte, script->answers + at + byte, script->masks + at + byte, 1))
                byte++;
            size_t from = byte - byte % 16;
            fprintf(stderr, "driver: answer %" PRIu32 " differs at byte %zu (shown from %zu)\n", i, byte, from);
            show("expected", script->answers + at + from, length - from);
            show("got", got + from, length - from);
            show("mask", script->masks + at + from, length - from);
            break;
        }
        got += length;
        at += length;
    }
    exit(1);
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t number(const char *text, const char *name, unsigned long limit)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || end == text || value > limit) {
        errno = EINVAL;
        fail(name);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: driver FD SCRIPT WINDOW COUNT\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* a server that went away is an error of write(), with a message */
    int fd = (int)number(argv[1], "FD", INT32_MAX);
    uint32_t size = number(argv[3], "WINDOW", UINT32_MAX);
    uint32_t count = number(argv[4], "COUNT", UINT32_MAX);

    size_t length;
    unsigned char *bytes = load(argv[2], &length);
    struct script script = parse(bytes, length, argv[2]);
    if (size == 0 || script.frames % size != 0) {
        errno = EINVAL;
        fail("WINDOW does not divide the script");
    }
    uint32_t distinct;
    struct window *windows = cut(&script, size, &distinct);
    size_t largest = 0;
    for (uint32_t w = 0; w < distinct; w++)
        if (windows[w].answer_bytes > largest)
            largest = windows[w].answer_bytes;
    unsigned char *answer = allocate(largest, 1);
    uint32_t *durations = allocate(count, sizeof *durations);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = i % distinct;
        const struct window *window = &windows[which];
        uint64_t started = nanoseconds();
        send_all(fd, script.requests + window->request_at, window->request_bytes);
        receive_all(fd, answer, window->answer_bytes);
        uint64_t taken = nanoseconds() - started;
        durations[i] = taken > UINT32_MAX ? UINT32_MAX : (uint32_t)taken;
        if (!matches(answer, script.answers + window->answer_at, script.masks + window->answer_at,
                     window->answer_bytes))
            report(&script, which * size, size, answer, window);
    }
    if (fwrite(durations, sizeof *durations, count, stdout) != count || fflush(stdout) != 0)
        fail("standard output");
    return 0;
}
