/*
 * Calls the C client as the tests say: a command a line on standard input, an answer a line on standard output.
 *
 *     COMMAND ARGUMENT...        numbers in C's notation
 *     RESULT \t VALUE \t OUTPUTS \t ORDER \t STATUS \t MAYBE \t FIELD \t ERROR \t EXTRA
 *
 * RESULT is what the call answered, VALUE what it read, EXTRA what else it told.  Exit status: 0 at the end of the input,
 * 2 for a command that it does not know.
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700

#include "vgicd.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { WORDS = 1200, LINE_BYTES = 1 << 20 };

static char line[LINE_BYTES], extra[LINE_BYTES];
static char *words[WORDS];
static unsigned char bytes[LINE_BYTES / 2];

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 0);
    if (*end || end == text) {
        fprintf(stderr, "driver: %s is no number\n", text);
        exit(2);
    }
    return value;
}

static unsigned at(int word)
{
    return (unsigned)number(words[word]);
}

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t from_hex(const char *text)
{
    size_t count;
    for (count = 0; text[2 * count] && text[2 * count + 1]; count++)
        bytes[count] = (unsigned char)(digit(text[2 * count]) << 4 | digit(text[2 * count + 1]));
    return count;
}

static size_t add(size_t length, const char *format, uint64_t value)
{
    return length + (size_t)snprintf(extra + length, sizeof extra - length, format, value);
}

static void nothing(int signal_number)
{
    (void)signal_number;
}

/* Interrupt whatever is running every millisecond, without SA_RESTART: every system call may answer EINTR. */
static void interrupt(long microseconds)
{
    struct sigaction action;
    struct itimerval timer = {{0, 0}, {0, 0}};
    memset(&action, 0, sizeof action);
    action.sa_handler = nothing;
    sigaction(SIGALRM, &action, NULL);
    timer.it_interval.tv_usec = timer.it_value.tv_usec = microseconds;
    setitimer(ITIMER_REAL, &timer, NULL);
}

struct worker {
    const char *address;
    unsigned vcpu;
    uint64_t count, wrong;
};

/* A CPU of its own thread and connection: write a byte of IPRIORITYR0..7, banked by vCPU, and read it back. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct vgicd *gic = vgicd_new();
    uint64_t i, value = 0;
    if (!gic || vgicd_connect(gic, worker->address, NULL) < 0)
        worker->wrong++;
    else
        for (i = 0; i < worker->count; i++) {
            const uint64_t priority = (i & 0xF) << 4;
            if (vgicd_write(gic, worker->vcpu, VGICD_SPACE_GICD, 0x400 + 20, 1, priority) != VGICD_OK
                || vgicd_read(gic, worker->vcpu, VGICD_SPACE_GICD, 0x400 + 20, 1, &value) != VGICD_OK || value != priority)
                worker->wrong++;
        }
    vgicd_free(gic);
    return NULL;
}

static int crowd(const char *address, uint64_t count)
{
    struct worker workers[4];
    pthread_t threads[4];
    uint64_t wrong = 0;
    unsigned i;
    for (i = 0; i < 4; i++) {
        struct worker worker = {address, i, count, 0};
        workers[i] = worker;
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            exit(2);
    }
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        wrong += workers[i].wrong;
    }
    return (int)wrong;
}

static int vector(struct vgicd *gic, int count)
{
    static struct vgicd_entry entries[WORDS];
    static struct vgicd_outcome outcomes[WORDS];
    size_t length = 0;
    int i, result;
    for (i = 0; i < count; i++) {
        unsigned n[5] = {0, 0, 0, 0, 0};
        char kind, *word = words[i + 1];
        uint64_t value;
        kind = word[0];
        value = 0;
        sscanf(word + 1, ":%i:%i:%i:%i:%" SCNi64, (int *)&n[0], (int *)&n[1], (int *)&n[2], (int *)&n[3],
               (int64_t *)&value);
        switch (kind) {
        case 'r': entries[i] = vgicd_reading(n[0], n[1], n[2], n[3]); break;
        case 'w': entries[i] = vgicd_writing(n[0], n[1], n[2], n[3], value); break;
        case 'l': entries[i] = vgicd_driving(n[0], n[1], (int)n[2]); break;
        default: entries[i] = vgicd_pulsing(n[0], n[1]); break;
        }
    }
    result = vgicd_vector(gic, entries, (size_t)count, outcomes);
    if (result == VGICD_OK)
        for (i = 0; i < count; i++) {
            length = add(length, "%" PRIu64 "/", outcomes[i].value);
            length = add(length, "%" PRIu64 "/", (uint64_t)outcomes[i].aborted);
            length = add(length, "%" PRIu64 " ", outcomes[i].outputs);
        }
    return result;
}

static void all_events(struct vgicd *gic)
{
    struct vgicd_event event;
    size_t length = 0;
    while (length < sizeof extra - 200 && vgicd_next_event(gic, &event)) {
        length = add(length, "%" PRIu64 "/", event.order);
        length = add(length, "%" PRIu64 "/", event.kind);
        length = add(length, "%" PRIu64 "/", event.vcpu);
        length = add(length, "%" PRIu64 "/", event.intid);
        length = add(length, "%" PRIu64 "/", event.address);
        length = add(length, "%" PRIu64 " ", event.value);
    }
}

static void information(const struct vgicd *gic)
{
    const struct vgicd_info *info = vgicd_info(gic);
    int length = snprintf(extra, sizeof extra, "%u %u %u %" PRIu32 " %u %u %u %" PRIu32 " %" PRIu32 " %" PRIu32 " %s %s %s",
                          info->version, info->role, info->is_explicit, info->features, info->vcpus, info->spis,
                          info->lrs, info->frame_limit, info->vector_limit, info->wait_ms, info->variant, info->profile,
                          info->domain);
    unsigned i;
    for (i = 0; i < info->window_count; i++)
        length += snprintf(extra + length, sizeof extra - (size_t)length, " %s:%" PRIu64 ":%" PRIu64,
                           info->windows[i].name, info->windows[i].base, info->windows[i].size);
}

static int raw(struct vgicd *gic, int count)
{
    const unsigned char *reply;
    size_t i, length = 0, reply_length;
    int result = vgicd_request(gic, at(1), at(2), bytes, count > 3 ? from_hex(words[3]) : 0, &reply, &reply_length);
    if (result >= 0)
        for (i = 0; i < reply_length; i++)
            length = add(length, "%02" PRIx64, reply[i]);
    return result;
}

static int world(struct vgicd *gic, int (*call)(struct vgicd *, unsigned, struct vgicd_world *))
{
    struct vgicd_world found;
    size_t length = 0;
    uint32_t i;
    int result = call(gic, at(1), &found);
    if (result == VGICD_OK) {
        const uint64_t numbers[] = {found.eisr, found.elrsr, found.hcr, found.misr, found.apr, found.used};
        for (i = 0; i < 6; i++)
            length = add(length, "%" PRIu64 " ", numbers[i]);
        for (i = 0; i < found.count; i++)
            length = add(length, "%" PRIu64 " ", found.lrs[i]);
    }
    return result;
}

static int connection(struct vgicd *gic, int count)
{
    struct vgicd_options options = {0, 0, NULL, 0, 0};
    if (count == 2)
        return vgicd_connect(gic, words[1], NULL);
    options.role = at(2);
    options.features = at(3);
    options.timeout_ms = (int)at(4);
    options.spin_us = (int)at(5);
    options.name = count > 6 ? words[6] : NULL;
    return vgicd_connect(gic, words[1], &options);
}

static int carry_out(struct vgicd *gic, int count, uint64_t *value)
{
    const char *command = words[0];
#define IS(name, arguments) (strcmp(command, name) == 0 && count > (arguments))
    if (IS("connect", 1)) return connection(gic, count);
    if (IS("close", 0)) return vgicd_close(gic), 0;
    if (IS("read", 4)) return vgicd_read(gic, at(1), at(2), number(words[3]), at(4), value);
    if (IS("peek", 4)) return vgicd_peek(gic, at(1), at(2), number(words[3]), at(4), value);
    if (IS("blind", 4)) return vgicd_read(gic, at(1), at(2), number(words[3]), at(4), NULL);
    if (IS("write", 5)) return vgicd_write(gic, at(1), at(2), number(words[3]), at(4), number(words[5]));
    if (IS("line", 3)) return vgicd_line(gic, at(1), at(2), (int)at(3));
    if (IS("pulse", 2)) return vgicd_pulse(gic, at(1), at(2));
    if (IS("vector", 0)) return vector(gic, count - 1);
    if (IS("wait", 2)) return vgicd_wait(gic, (uint16_t)at(1), at(2));
    if (IS("subscribe", 1)) return vgicd_subscribe(gic, at(1));
    if (IS("poll", 1)) return vgicd_poll(gic, (int)at(1));
    if (IS("change", 1)) return vgicd_wait_change(gic, (int)at(1));
    if (IS("events", 0)) return all_events(gic), 0;
    if (IS("ping", 0)) return vgicd_ping(gic);
    if (IS("reset", 0)) return vgicd_reset(gic);
    if (IS("power", 2)) return vgicd_power(gic, at(1), (int)at(2));
    if (IS("time", 1)) return vgicd_time(gic, number(words[1]));
    if (IS("mode", 1)) return vgicd_mode(gic, (int)at(1));
    if (IS("enter", 1)) return world(gic, vgicd_enter);
    if (IS("exit", 1)) return world(gic, vgicd_exit);
    if (IS("raw", 2)) return raw(gic, count);
    if (IS("info", 0)) return information(gic), 0;
    if (IS("changed", 0)) return *value = vgicd_changed(gic), 0;
    if (IS("irq", 1)) return vgicd_irq(gic, at(1));
    if (IS("fiq", 1)) return vgicd_fiq(gic, at(1));
    if (IS("fd", 0)) return vgicd_fd(gic);
    if (IS("window", 2)) {
        const struct vgicd_window *window = vgicd_window_at(gic, number(words[1]), at(2));
        snprintf(extra, sizeof extra, "%s", window ? window->name : "");
        return 0;
    }
    if (IS("strerror", 1)) {
        snprintf(extra, sizeof extra, "%s", vgicd_strerror((int)at(1)));
        return 0;
    }
    if (IS("status", 1)) {
        snprintf(extra, sizeof extra, "%s", vgicd_status_text(at(1)));
        return 0;
    }
    if (IS("interrupt", 1)) return interrupt((long)at(1)), 0;
    if (IS("crowd", 2)) return crowd(words[1], number(words[2]));
#undef IS
    fprintf(stderr, "driver: what is %s with %d words?\n", command, count - 1);
    exit(2);
}

/* A line, although a signal may interrupt the read. */
static char *next_line(void)
{
    char *got;
    while (!(got = fgets(line, sizeof line, stdin)) && ferror(stdin) && errno == EINTR)
        clearerr(stdin);
    return got;
}

int main(void)
{
    struct vgicd *gic = vgicd_new();
    if (!gic)
        return 2;
    while (next_line()) {
        uint64_t value = 0;
        int count = 0, result;
        char *rest = line, *word;
        while (count < WORDS && (word = strtok_r(rest, " \n", &rest)) != NULL)
            words[count++] = word;
        if (!count)
            continue;
        extra[0] = '\0';
        result = carry_out(gic, count, &value);
        printf("%d\t%" PRIu64 "\t%u\t%" PRIu64 "\t%u\t%d\t%s\t%s\t%s\n", result, value, vgicd_outputs(gic),
               vgicd_order(gic), vgicd_status(gic), vgicd_maybe_applied(gic), vgicd_field(gic), vgicd_error(gic), extra);
        if (fflush(stdout) != 0)
            return 2;
    }
    vgicd_free(gic);
    return 0;
}
