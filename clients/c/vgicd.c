/*
 * The client: see vgicd.h for what it promises and protocol/SPEC.md for what is on the wire.
 *
 * One request is in flight at most.  Everything received goes through `digest`, which takes whole frames off the buffer:
 * events are kept, the one awaited reply is pointed at, anything else means that the two sides no longer understand each
 * other.  Nothing that the daemon sends is believed before it is checked: lengths before bodies, counts before items.
 *
 * The first error that ends a connection closes the socket and stays in `dead`: every later call answers it.
 */
#undef _GNU_SOURCE /* of a build that defines it everywhere: its strerror_r is another function */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#ifdef __APPLE__
#define _DARWIN_C_SOURCE
#endif

#include "vgicd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0 /* there `tune` sets it afterwards */
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* there SO_NOSIGPIPE does it: see `tune` */
#endif

#if defined(__GNUC__)
#define FORMAT(text, arguments) __attribute__((format(printf, text, arguments)))
#else
#define FORMAT(text, arguments)
#endif

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    DEFAULT_SPIN_US = 50, /* README.md has the measurement */
    EVENTS_KEPT = 2048,
    READS_PER_POLL = 64, /* so that a daemon that never pauses cannot keep vgicd_poll() */
    TEXT_LIMIT = 4096,
    FIELD_LIMIT = 255
};

/* Where a field of a frame lies in the body, which comes without its head. */
#define IN_REQUEST(offset) ((offset) - VGICD_HEAD_BYTES)
#define IN_REPLY(offset) ((offset) - VGICD_REPLY_BYTES)

#define JOINED_LIMIT ((size_t)8 << 20) /* twice the largest image */

struct joint { /* a message of several frames */
    unsigned char *bytes;
    size_t length, room;
};

struct reply {
    const unsigned char *body;
    size_t length;
    unsigned status;
    int here;
};

struct vgicd {
    int fd;       /* -1: not connected */
    int dead;     /* why not, below 0 */
    int packets;  /* SOCK_SEQPACKET */
    int timeout_ms, spin_us;

    uint32_t request_id;
    unsigned opcode;  /* of the request in flight, 0: none is */
    int sent;         /* at least a byte of it */
    int maybe_applied;
    struct reply reply;

    int more;         /* the last frame had MORE: the next must go on with it */
    uint32_t more_id;
    unsigned more_opcode;
    struct joint long_reply, long_events;

    int subscribed;   /* ever, on this connection */
    uint32_t mask;
    int departing;    /* the daemon said that it stops */

    uint16_t outputs, looked;
    uint64_t order;

    size_t first_event, event_count;
    uint64_t lost_events;

    unsigned status;
    char field[FIELD_LIMIT + 1];
    char error[TEXT_LIMIT + FIELD_LIMIT + 64];
    char address[320];

    uint32_t frame_limit; /* the daemon's, once it has said it */
    size_t begin, end; /* of what has been received and not digested */
    struct vgicd_info info;
    struct vgicd_event events[EVENTS_KEPT];
    unsigned char vector[IN_REQUEST(VGICD_VECTOR_ENTRIES) + VGICD_VECTOR_LIMIT * VGICD_ENTRY_BYTES];
    unsigned char in[VGICD_FRAME_LIMIT];
};

/* --- bytes ------------------------------------------------------------------------------------------------------- */

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
}

static void put32(unsigned char *at, uint32_t value)
{
    put16(at, value & 0xFFFFu);
    put16(at + 2, value >> 16);
}

static void put64(unsigned char *at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

static uint16_t get16(const unsigned char *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const unsigned char *at)
{
    return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const unsigned char *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

/* Reads a body field by field.  `at` counts from the frame's start, as alignment does. */
struct cursor {
    const unsigned char *body;
    size_t at, end;
    int bad;
};

static struct cursor cursor_of(const struct reply *reply)
{
    struct cursor cursor = {NULL, VGICD_REPLY_BYTES, VGICD_REPLY_BYTES + reply->length, 0};
    cursor.body = reply->body;
    return cursor;
}

static const unsigned char *skip(struct cursor *cursor, size_t count)
{
    const size_t here = IN_REPLY(cursor->at);
    if (cursor->bad || cursor->end - cursor->at < count) {
        cursor->bad = 1;
        return NULL;
    }
    cursor->at += count;
    return cursor->body + here;
}

static void zeros(struct cursor *cursor, size_t modulus)
{
    const unsigned char *padding;
    size_t count = (modulus - cursor->at % modulus) % modulus;
    if ((padding = skip(cursor, count)) != NULL)
        while (count--)
            if (*padding++)
                cursor->bad = 1;
}

static uint32_t word(struct cursor *cursor)
{
    const unsigned char *bytes = skip(cursor, 4);
    return bytes ? get32(bytes) : 0;
}

static uint64_t wide(struct cursor *cursor)
{
    const unsigned char *bytes = skip(cursor, 8);
    return bytes ? get64(bytes) : 0;
}

/* A string of at most `limit` bytes into `text`, which has room for one more: printable ASCII, or a `sentence` in UTF-8
 * of which no character, C0 or C1, moves a terminal's cursor. */
static void string(struct cursor *cursor, char *text, size_t limit, int sentence)
{
    const unsigned char *bytes;
    size_t i, length = word(cursor);
    text[0] = '\0';
    if (length > limit)
        cursor->bad = 1;
    if ((bytes = skip(cursor, length)) == NULL)
        return;
    for (i = 0; i < length; i++) {
        const int is_c1 = bytes[i] >= 0x80 && bytes[i] < 0xA0 && i && bytes[i - 1] == 0xC2;
        const int control = bytes[i] < 0x20 || bytes[i] == 0x7F || is_c1;
        if (!sentence && (control || bytes[i] > 0x7F))
            cursor->bad = 1;
        text[i] = control ? '?' : (char)bytes[i];
    }
    text[length] = '\0';
    zeros(cursor, 4);
}

/* --- errors ------------------------------------------------------------------------------------------------------ */

FORMAT(3, 4) static int fail(struct vgicd *gic, int result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(gic->error, sizeof gic->error, format, arguments);
    va_end(arguments);
    return result;
}

static void shut(struct vgicd *gic, int result)
{
    if (gic->fd >= 0)
        close(gic->fd);
    gic->fd = -1;
    gic->dead = result;
    gic->maybe_applied = gic->opcode != 0 && gic->sent;
    gic->begin = gic->end = 0;
    gic->opcode = 0;
}

/* End the connection; `format` says why. */
FORMAT(3, 4) static int drop(struct vgicd *gic, int result, const char *format, ...)
{
    va_list arguments;
    int length = snprintf(gic->error, sizeof gic->error, "%s: ", gic->address);
    size_t at = length > 0 && (size_t)length < sizeof gic->error ? (size_t)length : 0;
    va_start(arguments, format);
    vsnprintf(gic->error + at, sizeof gic->error - at, format, arguments);
    va_end(arguments);
    shut(gic, result);
    return result;
}

static int broken(struct vgicd *gic, const char *what)
{
    return drop(gic, VGICD_BROKEN, "the peer broke the protocol: %s", what);
}

/* The reply has come and means nothing, so that what was asked may have been done. */
static int misread(struct vgicd *gic, const char *what)
{
    const int result = broken(gic, what);
    gic->maybe_applied = 1;
    return result;
}

/* What the system calls `error`; strerror() may use a buffer that all threads share. */
static const char *reason(int error, char *text, size_t size)
{
    if (strerror_r(error, text, size) != 0)
        snprintf(text, size, "error %d", error);
    return text;
}

static int lost(struct vgicd *gic, int error)
{
    char text[128];
    if (gic->departing)
        return drop(gic, VGICD_LOST, "the daemon has stopped");
    if (!error)
        return drop(gic, VGICD_LOST, "the daemon closed the connection");
    return drop(gic, VGICD_LOST, "the connection is gone: %s", reason(error, text, sizeof text));
}

/* Whether a call may go on; 0 or the error that ended the connection, whose sentence is still there. */
static int ready(struct vgicd *gic)
{
    gic->maybe_applied = 0;
    return gic->fd >= 0 ? VGICD_OK : gic->dead;
}

/* `field` and `text` of an error body; -1 if it is none. */
static int parse_error(struct vgicd *gic, const struct reply *reply, char *text)
{
    struct cursor cursor = cursor_of(reply);
    string(&cursor, gic->field, FIELD_LIMIT, 0);
    string(&cursor, text, TEXT_LIMIT, 1);
    return cursor.bad || cursor.at != cursor.end ? -1 : 0;
}

const char *vgicd_strerror(int result)
{
    switch (result) {
    case VGICD_OK: return "done";
    case VGICD_ABORT: return "the guest's access takes an abort";
    case VGICD_REFUSED: return "the daemon refused the request";
    case VGICD_TIMEOUT: return "it did not happen in time";
    case VGICD_INVALID: return "an argument is wrong";
    case VGICD_MEMORY: return "out of memory";
    case VGICD_LOST: return "not connected";
    case VGICD_BROKEN: return "the peer broke the protocol";
    default: return "no result of this library";
    }
}

const char *vgicd_status_text(unsigned status)
{
    switch (status) {
#define X(name, number, sentence) case number: return sentence;
    VGICD_STATUSES(X)
#undef X
    default: return "A status that this version of the protocol does not know.";
    }
}

/* --- receiving --------------------------------------------------------------------------------------------------- */

static int join(struct joint *joint, const unsigned char *bytes, size_t length)
{
    if (length > joint->room - joint->length) {
        size_t room = (joint->length + length) * 2;
        unsigned char *larger = realloc(joint->bytes, room);
        if (!larger)
            return -1;
        joint->bytes = larger;
        joint->room = room;
    }
    memcpy(joint->bytes + joint->length, bytes, length);
    joint->length += length;
    return 0;
}

static int keep_events(struct vgicd *gic, const unsigned char *body, size_t length)
{
    const size_t head = IN_REPLY(VGICD_EVENT_FRAME_EVENTS);
    size_t i, count = length >= head ? get32(body) : 0;
    if (!gic->subscribed)
        return broken(gic, "events without a subscription");
    if (length < head || count > VGICD_EVENT_LIMIT || get32(body + 4) || length != head + count * VGICD_EVENT_RECORD_BYTES)
        return broken(gic, "events that do not fill their frame");
    for (i = 0; i < count; i++) {
        const unsigned char *from = body + head + i * VGICD_EVENT_RECORD_BYTES;
        struct vgicd_event *to = &gic->events[(gic->first_event + gic->event_count) % EVENTS_KEPT];
        if (gic->lost_events || gic->event_count == EVENTS_KEPT) {
            int is_gap = from[VGICD_EVENT_RECORD_KIND] == VGICD_EVENT_GAP;
            gic->lost_events += is_gap ? get64(from + VGICD_EVENT_RECORD_VALUE) : 1;
            continue;
        }
        to->order = get64(from + VGICD_EVENT_RECORD_ORDER);
        to->kind = from[VGICD_EVENT_RECORD_KIND];
        to->vcpu = from[VGICD_EVENT_RECORD_VCPU];
        to->intid = get16(from + VGICD_EVENT_RECORD_INTID);
        to->address = get32(from + VGICD_EVENT_RECORD_ADDRESS);
        to->value = get64(from + VGICD_EVENT_RECORD_VALUE);
        gic->event_count++;
    }
    return VGICD_OK;
}

/* A whole message from the daemon. */
static int message(struct vgicd *gic, unsigned opcode, unsigned status, uint32_t id, struct reply reply)
{
    char text[TEXT_LIMIT + 1];
    if (opcode == VGICD_OP_EVENT)
        return status ? broken(gic, "events with a status") : keep_events(gic, reply.body, reply.length);
    if (opcode == VGICD_OP_ERROR) {
        const char *why = parse_error(gic, &reply, text) < 0 ? vgicd_status_text(status) : text;
        const int result = gic->opcode == VGICD_OP_HELLO ? VGICD_REFUSED : VGICD_BROKEN;
        gic->status = status;
        return drop(gic, result, "the daemon ended the connection: %s", why);
    }
    if (opcode == VGICD_OP_BYE && id == 0) {
        gic->departing = 1;
        return VGICD_OK;
    }
    if (!gic->opcode || gic->reply.here || opcode != gic->opcode || id != gic->request_id)
        return broken(gic, "a reply to no request of ours");
    gic->reply = reply;
    gic->reply.status = status;
    gic->reply.here = 1;
    return VGICD_OK;
}

static int take_frame(struct vgicd *gic, const unsigned char *frame, size_t length)
{
    const unsigned opcode = frame[VGICD_REPLY_OPCODE] & ~VGICD_REPLY_BIT;
    const unsigned status = get16(frame + VGICD_REPLY_STATUS);
    const unsigned flags = get16(frame + VGICD_REPLY_FLAGS);
    const uint32_t id = get32(frame + VGICD_REPLY_REQUEST_ID);
    struct reply reply = {NULL, length - VGICD_REPLY_BYTES, 0, 0};

    reply.body = frame + VGICD_REPLY_BYTES;
    if (frame[VGICD_REPLY_VERSION] != VGICD_PROTOCOL_VERSION)
        return broken(gic, "a frame of another version");
    if (!(frame[VGICD_REPLY_OPCODE] & VGICD_REPLY_BIT))
        return broken(gic, "a frame that is no reply");
    if (flags & ~VGICD_REPLY_MORE)
        return broken(gic, "reply flags that are not known");
    if (gic->more && (opcode != gic->more_opcode || id != gic->more_id))
        return broken(gic, "another frame inside a split message");
    gic->outputs = get16(frame + VGICD_REPLY_OUTPUTS);
    gic->order = get64(frame + VGICD_REPLY_ORDER);

    if (flags || gic->more) {
        struct joint *joint = opcode == VGICD_OP_EVENT ? &gic->long_events : &gic->long_reply;
        if (!gic->more) {
            /* what is expected is checked before it is kept: a reply that was handed out may still lie there */
            if (opcode != VGICD_OP_EVENT && (opcode != gic->opcode || id != gic->request_id || gic->reply.here))
                return broken(gic, "a split reply to no request of ours");
            joint->length = 0;
            gic->more_opcode = opcode;
            gic->more_id = id;
        }
        gic->more = flags != 0;
        if (joint->length + reply.length > JOINED_LIMIT)
            return broken(gic, "a message without an end");
        if (join(joint, reply.body, reply.length) < 0)
            return drop(gic, VGICD_MEMORY, "no memory for a reply of %zu bytes", joint->length + reply.length);
        if (gic->more)
            return VGICD_OK;
        reply.body = joint->bytes;
        reply.length = joint->length;
    }
    return message(gic, opcode, status, id, reply);
}

/* Take the whole frames off the buffer. */
static int digest(struct vgicd *gic)
{
    while (gic->end - gic->begin >= 4) {
        const unsigned char *frame = gic->in + gic->begin;
        const uint32_t length = get32(frame);
        int result;
        if (length < VGICD_REPLY_BYTES || length > VGICD_FRAME_LIMIT)
            return broken(gic, "a frame of an impossible length");
        if (gic->end - gic->begin < length)
            break;
        gic->begin += length;
        if ((result = take_frame(gic, frame, length)) < 0)
            return result;
    }
    if (gic->packets && gic->begin != gic->end)
        return broken(gic, "a packet that ends inside a frame");
    return VGICD_OK;
}

/* Read once, without waiting: 1 something came and was digested, 0 nothing is there, or an error. */
static int take(struct vgicd *gic)
{
    ssize_t count;
    int result;
    if (gic->begin) {
        gic->end -= gic->begin;
        if (gic->end)
            memmove(gic->in, gic->in + gic->begin, gic->end);
        gic->begin = 0;
    }
    do
        count = recv(gic->fd, gic->in + gic->end, sizeof gic->in - gic->end, MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : lost(gic, errno);
    if (count == 0)
        return lost(gic, 0);
    gic->end += (size_t)count;
    result = digest(gic);
    return result < 0 ? result : 1;
}

static int64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t deadline_of(int64_t milliseconds)
{
    return milliseconds < 0 ? -1 : microseconds() + milliseconds * 1000;
}

/* Sleep until `events` or `deadline` (-1: none): the events, 0 at the deadline, or an error. */
static int sleep_until(struct vgicd *gic, short events, int64_t deadline)
{
    struct pollfd waiting = {-1, 0, 0};
    waiting.fd = gic->fd;
    waiting.events = events;
    for (;;) {
        int milliseconds = -1, count;
        if (deadline >= 0) {
            int64_t left = deadline - microseconds();
            left = left < 0 ? 0 : (left + 999) / 1000;
            milliseconds = left > INT_MAX ? INT_MAX : (int)left;
        }
        count = poll(&waiting, 1, milliseconds);
        if (count > 0)
            return waiting.revents;
        if (count == 0)
            return 0;
        if (errno != EINTR && errno != EAGAIN)
            return lost(gic, errno);
    }
}

/* Look for a reply for a short while before sleeping; as `take`. */
static int spin(struct vgicd *gic)
{
    const int64_t end = microseconds() + gic->spin_us;
    int result;
    do {
        sched_yield(); /* the daemon may need this very core */
        if ((result = take(gic)) != 0)
            break;
    } while (microseconds() < end);
    return result;
}

/* Wait for the reply to the request in flight, at most `milliseconds` (below 0: for ever). */
static int await(struct vgicd *gic, int64_t milliseconds)
{
    int64_t deadline = -2; /* not yet computed: few replies need it */
    unsigned reads = 0;
    int result = gic->spin_us ? spin(gic) : 0;
    while (!gic->reply.here) {
        if (result < 0)
            return result;
        if (result == 0 || ++reads % READS_PER_POLL == 0) { /* a daemon that never pauses is timed as well */
            if (deadline == -2)
                deadline = deadline_of(milliseconds);
            if ((result = sleep_until(gic, POLLIN, deadline)) < 0)
                return result;
            if (result == 0 || (deadline >= 0 && microseconds() > deadline))
                return drop(gic, VGICD_LOST, "no reply within %" PRId64 " ms", milliseconds);
        }
        result = take(gic);
    }
    gic->opcode = 0; /* a connection that ended right behind the reply is the next call's affair */
    return VGICD_OK;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static ssize_t send_parts(int fd, const unsigned char *head, size_t head_length, const unsigned char *body, size_t length)
{
    struct iovec parts[2];
    struct msghdr whole;
    if (!length)
        return send(fd, head, head_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    parts[0].iov_base = (void *)(uintptr_t)head; /* sendmsg only reads, its type is older than const */
    parts[0].iov_len = head_length;
    parts[1].iov_base = (void *)(uintptr_t)body;
    parts[1].iov_len = length;
    memset(&whole, 0, sizeof whole);
    whole.msg_iov = parts;
    whole.msg_iovlen = 2;
    return sendmsg(fd, &whole, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Send a frame in two parts.  What arrives meanwhile is taken in: a daemon whose replies nobody reads stops reading. */
static int send_frame(struct vgicd *gic, const unsigned char *head, size_t head_length, const unsigned char *body,
                      size_t length)
{
    int64_t deadline = -2;
    while (head_length + length) {
        ssize_t count = send_parts(gic->fd, head, head_length, body, length);
        int result, error = errno;
        if (count >= 0) {
            size_t sent = (size_t)count, of_head = sent < head_length ? sent : head_length;
            gic->sent |= sent > 0;
            head += of_head;
            head_length -= of_head;
            if (sent > of_head) {
                body += sent - of_head;
                length -= sent - of_head;
            }
            continue;
        }
        if (error == EINTR)
            continue;
        if (error != EAGAIN && error != EWOULDBLOCK) {
            while ((result = take(gic)) > 0) /* the daemon's last words say more than EPIPE does */
                ;
            return result < 0 ? result : lost(gic, error);
        }
        if (deadline == -2)
            deadline = deadline_of(gic->timeout_ms);
        if ((result = sleep_until(gic, POLLIN | POLLOUT, deadline)) < 0)
            return result;
        if (result == 0 || (deadline >= 0 && microseconds() > deadline))
            return drop(gic, VGICD_LOST, "the daemon took no request within %d ms", gic->timeout_ms);
        if (!(result & POLLOUT) && (result = take(gic)) < 0)
            return result;
    }
    return VGICD_OK;
}

static void start(struct vgicd *gic, unsigned char *head, size_t length, unsigned opcode, unsigned flags)
{
    put32(head + VGICD_HEAD_LENGTH, (uint32_t)length);
    head[VGICD_HEAD_VERSION] = VGICD_PROTOCOL_VERSION;
    head[VGICD_HEAD_OPCODE] = (unsigned char)opcode;
    put16(head + VGICD_HEAD_STATUS, flags);
    put32(head + VGICD_HEAD_REQUEST_ID, gic->request_id);
}

static void next_request(struct vgicd *gic, unsigned opcode)
{
    gic->request_id = gic->request_id == UINT32_MAX ? 1 : gic->request_id + 1; /* 0 is the server's */
    gic->opcode = opcode;
    gic->sent = 0;
    gic->reply.here = 0;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

/* Send `body` as one request and wait for its reply, `extra_ms` longer than for others; VGICD_OK for status OK and
 * ABORT, VGICD_REFUSED with the daemon's sentence for any other. */
static int exchange(struct vgicd *gic, unsigned opcode, unsigned flags, const unsigned char *body, size_t length,
                    int64_t extra_ms)
{
    const size_t room = gic->frame_limit - VGICD_HEAD_BYTES;
    char text[TEXT_LIMIT + 1];
    int result;
    next_request(gic, opcode);
    do {
        unsigned char head[VGICD_HEAD_BYTES];
        const size_t part = length < room ? length : room;
        const unsigned more = length > room ? VGICD_FLAG_MORE : 0;
        start(gic, head, VGICD_HEAD_BYTES + part, opcode, flags | more);
        if ((result = send_frame(gic, head, sizeof head, body, part)) < 0)
            return result;
        if (part)
            body += part;
        length -= part;
    } while (length);
    if ((result = await(gic, gic->timeout_ms < 0 ? -1 : gic->timeout_ms + extra_ms)) < 0)
        return result;
    if (gic->reply.status <= VGICD_STATUS_ABORT)
        return VGICD_OK;
    if (parse_error(gic, &gic->reply, text) < 0)
        return misread(gic, "a refusal without its words");
    gic->status = gic->reply.status;
    if (!text[0]) /* READ, WRITE and LINE have the code alone, as two empty strings */
        snprintf(text, sizeof text, "%s", vgicd_status_text(gic->status));
    return fail(gic, VGICD_REFUSED, "%s%s%s", gic->field, gic->field[0] ? ": " : "", text);
}

/* A request whose reply's body has `expected` bytes. */
static int ask(struct vgicd *gic, unsigned opcode, const unsigned char *body, size_t length, size_t expected)
{
    int result = ready(gic);
    if (result < 0 || (result = exchange(gic, opcode, 0, body, length, 0)) < 0)
        return result;
    return gic->reply.length == expected ? VGICD_OK : misread(gic, "a reply whose body has not its length");
}

static const char *space_name(unsigned space)
{
    switch (space & 0xF) {
    case VGICD_SPACE_PHYSICAL: return "the physical address space";
    case VGICD_SPACE_GICD: return "GICD";
    case VGICD_SPACE_GICC: return "GICC";
    case VGICD_SPACE_GICH: return "GICH";
    case VGICD_SPACE_DEVICE: return "DEVICE";
    default: return "no known space";
    }
}

/* READ, WRITE and LINE: their refusals carry the code alone, so the sentence is made here. */
static int hot(struct vgicd *gic, unsigned opcode, unsigned vcpu, unsigned size, unsigned space, uint64_t address,
               uint64_t value, uint64_t *answer)
{
    unsigned char frame[VGICD_HOT_BYTES];
    const char *sentence;
    int result = ready(gic);
    if (result < 0)
        return result;
    if (vcpu > 0xFFFF || size > 0xFF || space > 0xFF)
        return fail(gic, VGICD_INVALID, "vCPU %u, size %u or space %u does not fit its field", vcpu, size, space);
    next_request(gic, opcode);
    start(gic, frame, sizeof frame, opcode, 0);
    put16(frame + VGICD_HOT_VCPU, vcpu);
    frame[VGICD_HOT_SIZE] = (unsigned char)size;
    frame[VGICD_HOT_SPACE] = (unsigned char)space;
    put64(frame + VGICD_HOT_ADDRESS, address);
    put64(frame + VGICD_HOT_VALUE, value);
    if ((result = send_frame(gic, frame, sizeof frame, NULL, 0)) < 0 || (result = await(gic, gic->timeout_ms)) < 0)
        return result;
    if (gic->reply.length != IN_REPLY(VGICD_HOT_REPLY_BYTES))
        return misread(gic, "a hot reply that is not 32 bytes");
    if (gic->reply.status <= VGICD_STATUS_ABORT) {
        if (answer)
            *answer = get64(gic->reply.body);
        return gic->reply.status == VGICD_STATUS_OK ? VGICD_OK : VGICD_ABORT;
    }
    gic->status = gic->reply.status;
    gic->field[0] = '\0';
    sentence = vgicd_status_text(gic->status);
    if (opcode == VGICD_OP_LINE && vcpu == VGICD_SPI)
        return fail(gic, VGICD_REFUSED, "line of SPI %" PRIu64 ": %s", address, sentence);
    if (opcode == VGICD_OP_LINE)
        return fail(gic, VGICD_REFUSED, "line of PPI %" PRIu64 " of vCPU %u: %s", address, vcpu, sentence);
    return fail(gic, VGICD_REFUSED, "%s of %u bytes at 0x%" PRIx64 " of %s as vCPU %u: %s",
                opcode == VGICD_OP_READ ? "read" : "write", size, address, space_name(space), vcpu, sentence);
}

int vgicd_read(struct vgicd *gic, unsigned vcpu, unsigned space, uint64_t address, unsigned size, uint64_t *value)
{
    return hot(gic, VGICD_OP_READ, vcpu, size, space, address, 0, value);
}

int vgicd_peek(struct vgicd *gic, unsigned vcpu, unsigned space, uint64_t address, unsigned size, uint64_t *value)
{
    return hot(gic, VGICD_OP_READ, vcpu, size, VGICD_PLANE_DEBUG << 4 | space, address, 0, value);
}

int vgicd_write(struct vgicd *gic, unsigned vcpu, unsigned space, uint64_t address, unsigned size, uint64_t value)
{
    return hot(gic, VGICD_OP_WRITE, vcpu, size, space, address, value, NULL);
}

int vgicd_line(struct vgicd *gic, unsigned intid, unsigned vcpu, int level)
{
    return hot(gic, VGICD_OP_LINE, vcpu, 0, 0, intid, level != 0, NULL);
}

int vgicd_pulse(struct vgicd *gic, unsigned intid, unsigned vcpu)
{
    return hot(gic, VGICD_OP_LINE, vcpu, 0, 1, intid, 1, NULL);
}

/* --- vectors ----------------------------------------------------------------------------------------------------- */

static struct vgicd_entry entry(unsigned kind, unsigned vcpu, unsigned size, unsigned space, uint32_t offset, uint64_t value)
{
    struct vgicd_entry made = {0, 0, 0, 0, 0};
    made.value = value;
    made.offset = offset;
    /* what does not fit becomes what no domain has, for the daemon to refuse by name */
    made.vcpu = (uint16_t)(vcpu > 0xFFFF ? 0xFFFE : vcpu);
    made.operation = (uint8_t)((size > 0xF ? 0xF : size) << 4 | kind);
    made.space = (uint8_t)(space > 0xFF ? 0xFF : space);
    return made;
}

struct vgicd_entry vgicd_reading(unsigned vcpu, unsigned space, uint32_t offset, unsigned size)
{
    return entry(VGICD_ENTRY_READ, vcpu, size, space, offset, 0);
}

struct vgicd_entry vgicd_writing(unsigned vcpu, unsigned space, uint32_t offset, unsigned size, uint64_t value)
{
    return entry(VGICD_ENTRY_WRITE, vcpu, size, space, offset, value);
}

struct vgicd_entry vgicd_driving(unsigned intid, unsigned vcpu, int level)
{
    return entry(VGICD_ENTRY_LINE, vcpu, 0, 0, intid, level != 0);
}

struct vgicd_entry vgicd_pulsing(unsigned intid, unsigned vcpu)
{
    return entry(VGICD_ENTRY_LINE, vcpu, 0, 1, intid, 1);
}

int vgicd_vector(struct vgicd *gic, const struct vgicd_entry *entries, size_t count, struct vgicd_outcome *outcomes)
{
    const size_t head = IN_REPLY(VGICD_VECTOR_REPLY_RESULTS);
    const unsigned char *result;
    size_t i;
    int answer = ready(gic);
    if (answer < 0)
        return answer;
    if (count == 0 || count > gic->info.vector_limit)
        return fail(gic, VGICD_INVALID, "a vector has 1 to %" PRIu32 " entries, not %zu", gic->info.vector_limit, count);
    put32(gic->vector, (uint32_t)count);
    for (i = 0; i < count; i++) {
        unsigned char *to = gic->vector + IN_REQUEST(VGICD_VECTOR_ENTRIES) + i * VGICD_ENTRY_BYTES;
        put64(to + VGICD_ENTRY_VALUE, entries[i].value);
        put32(to + VGICD_ENTRY_OFFSET, entries[i].offset);
        put16(to + VGICD_ENTRY_VCPU, entries[i].vcpu);
        to[VGICD_ENTRY_OPERATION] = entries[i].operation;
        to[VGICD_ENTRY_SPACE] = entries[i].space;
    }
    if ((answer = ask(gic, VGICD_OP_VECTOR, gic->vector, IN_REQUEST(VGICD_VECTOR_ENTRIES) + count * VGICD_ENTRY_BYTES,
                      head + count * VGICD_RESULT_BYTES)) < 0)
        return answer;
    result = gic->reply.body + head;
    if (get32(gic->reply.body) != count || get32(gic->reply.body + 4))
        return misread(gic, "a vector's reply of another count");
    for (i = 0; i < count; i++, result += VGICD_RESULT_BYTES) {
        const unsigned status = get16(result + VGICD_RESULT_STATUS);
        if (status > VGICD_STATUS_ABORT || get32(result + VGICD_RESULT_OUTPUTS + 2))
            return misread(gic, "a vector's result that is none");
        if (outcomes) {
            outcomes[i].value = get64(result + VGICD_RESULT_VALUE);
            outcomes[i].aborted = status == VGICD_STATUS_ABORT;
            outcomes[i].outputs = get16(result + VGICD_RESULT_OUTPUTS);
        }
    }
    return VGICD_OK;
}

/* --- waiting and events ------------------------------------------------------------------------------------------ */

int vgicd_wait(struct vgicd *gic, uint16_t outputs, uint32_t milliseconds)
{
    unsigned char body[IN_REQUEST(VGICD_WAIT_BYTES)] = {0};
    int result = ready(gic);
    if (result < 0)
        return result;
    if (milliseconds > VGICD_WAIT_MS_LIMIT)
        return fail(gic, VGICD_INVALID, "a wait takes at most %u ms, not %" PRIu32, VGICD_WAIT_MS_LIMIT, milliseconds);
    if (!outputs)
        outputs = (uint16_t)((1u << 2 * gic->info.vcpus) - 1);
    put16(body + IN_REQUEST(VGICD_WAIT_OUTPUTS), outputs);
    put32(body + IN_REQUEST(VGICD_WAIT_MILLISECONDS), milliseconds);
    result = exchange(gic, VGICD_OP_WAIT, 0, body, sizeof body, milliseconds);
    if (result == VGICD_OK && gic->reply.length)
        return misread(gic, "a reply whose body has not its length");
    return result == VGICD_REFUSED && gic->status == VGICD_STATUS_TIMEOUT ? VGICD_TIMEOUT : result;
}

int vgicd_subscribe(struct vgicd *gic, uint32_t mask)
{
    unsigned char body[IN_REQUEST(VGICD_SUBSCRIBE_BYTES)];
    int result = ready(gic);
    if (result < 0)
        return result;
    put32(body, mask);
    gic->subscribed = 1; /* events may come right behind the reply */
    if ((result = ask(gic, VGICD_OP_SUBSCRIBE, body, sizeof body, 0)) == VGICD_OK)
        gic->mask = mask;
    return result;
}

/* Take in all that has come: 1, 0 or an error. */
static int take_all(struct vgicd *gic)
{
    int i, result = 1, came = 0;
    for (i = 0; i < READS_PER_POLL && result == 1; i++) {
        if ((result = take(gic)) < 0)
            return result;
        came |= result;
    }
    return came;
}

int vgicd_poll(struct vgicd *gic, int milliseconds)
{
    int result = ready(gic);
    if (result < 0)
        return result;
    result = take_all(gic);
    if (result == 0 && milliseconds) {
        if ((result = sleep_until(gic, POLLIN, deadline_of(milliseconds))) > 0)
            result = take_all(gic);
    }
    return result < 0 ? result : result ? VGICD_OK : VGICD_TIMEOUT;
}

int vgicd_wait_change(struct vgicd *gic, int milliseconds)
{
    const uint16_t before = gic->outputs;
    const int64_t deadline = deadline_of(milliseconds);
    int result = ready(gic);
    if (result < 0)
        return result;
    if (!(gic->mask & 1u << VGICD_EVENT_OUTPUT))
        return fail(gic, VGICD_INVALID, "nothing tells of changes: vgicd_subscribe() to VGICD_EVENT_OUTPUT first");
    for (;;) {
        if ((result = take_all(gic)) < 0)
            return result;
        if (gic->outputs != before)
            return VGICD_OK;
        if (deadline >= 0 && microseconds() >= deadline) /* however much else there is to take in */
            return VGICD_TIMEOUT;
        if (!result && (result = sleep_until(gic, POLLIN, deadline)) < 0)
            return result;
    }
}

int vgicd_next_event(struct vgicd *gic, struct vgicd_event *event)
{
    if (gic->event_count) {
        *event = gic->events[gic->first_event];
        gic->first_event = (gic->first_event + 1) % EVENTS_KEPT;
        gic->event_count--;
        return 1;
    }
    if (!gic->lost_events)
        return 0;
    memset(event, 0, sizeof *event);
    event->kind = VGICD_EVENT_GAP;
    event->value = gic->lost_events;
    gic->lost_events = 0;
    return 1;
}

/* --- the domain -------------------------------------------------------------------------------------------------- */

int vgicd_ping(struct vgicd *gic)
{
    return ask(gic, VGICD_OP_PING, NULL, 0, 0);
}

int vgicd_reset(struct vgicd *gic)
{
    const unsigned char keep[IN_REQUEST(VGICD_RESET_FIXED)] = {0};
    int32_t error;
    int result = ask(gic, VGICD_OP_RESET, keep, sizeof keep, IN_REPLY(VGICD_RESET_REPLY_BYTES));
    if (result < 0)
        return result;
    error = (int32_t)get32(gic->reply.body);
    if (!error)
        return VGICD_OK;
    gic->status = VGICD_STATUS_BAD_CONFIG;
    gic->field[0] = '\0';
    return fail(gic, VGICD_REFUSED, "the domain cannot be built anew: errno %" PRId32, error);
}

int vgicd_power(struct vgicd *gic, unsigned vcpu, int on)
{
    unsigned char body[IN_REQUEST(VGICD_VCPU_POWER_BYTES)] = {0};
    put16(body, vcpu > 0xFFFF ? 0xFFFF : vcpu);
    body[IN_REQUEST(VGICD_VCPU_POWER_ON)] = on != 0;
    return ask(gic, VGICD_OP_VCPU_POWER, body, sizeof body, 0);
}

int vgicd_time(struct vgicd *gic, uint64_t ticks)
{
    unsigned char body[IN_REQUEST(VGICD_TIME_BYTES)] = {0};
    put64(body + IN_REQUEST(VGICD_TIME_NOW), ticks);
    return ask(gic, VGICD_OP_TIME, body, sizeof body, 0);
}

int vgicd_mode(struct vgicd *gic, int is_explicit)
{
    unsigned char body[IN_REQUEST(VGICD_MODE_BYTES)] = {0};
    int result;
    body[IN_REQUEST(VGICD_MODE_EXPLICIT)] = is_explicit != 0;
    if ((result = ask(gic, VGICD_OP_MODE, body, sizeof body, 0)) == VGICD_OK)
        gic->info.is_explicit = is_explicit != 0;
    return result;
}

static int switch_world(struct vgicd *gic, unsigned opcode, unsigned vcpu, struct vgicd_world *world)
{
    unsigned char body[IN_REQUEST(VGICD_ENTER_BYTES)] = {0};
    struct vgicd_world found;
    struct cursor cursor;
    uint32_t i;
    int result = ready(gic);
    put16(body, vcpu > 0xFFFF ? 0xFFFF : vcpu);
    if (result < 0 || (result = exchange(gic, opcode, 0, body, sizeof body, 0)) < 0)
        return result;
    memset(&found, 0, sizeof found);
    cursor = cursor_of(&gic->reply);
    if (opcode == VGICD_OP_ENTER) {
        found.hcr = word(&cursor);
        found.misr = word(&cursor);
        found.used = word(&cursor);
    } else {
        found.eisr = wide(&cursor);
        found.elrsr = wide(&cursor);
        found.misr = word(&cursor);
        found.apr = word(&cursor);
        found.hcr = word(&cursor);
    }
    found.count = word(&cursor);
    if (found.count > sizeof found.lrs / sizeof found.lrs[0])
        return misread(gic, "more list registers than there can be");
    for (i = 0; i < found.count; i++)
        found.lrs[i] = word(&cursor);
    if (cursor.bad || cursor.at != cursor.end)
        return misread(gic, "a world switch whose body has not its length");
    if (world)
        *world = found;
    return VGICD_OK;
}

int vgicd_enter(struct vgicd *gic, unsigned vcpu, struct vgicd_world *world)
{
    return switch_world(gic, VGICD_OP_ENTER, vcpu, world);
}

int vgicd_exit(struct vgicd *gic, unsigned vcpu, struct vgicd_world *world)
{
    return switch_world(gic, VGICD_OP_EXIT, vcpu, world);
}

int vgicd_request(struct vgicd *gic, unsigned opcode, unsigned flags, const void *body, size_t length,
                  const unsigned char **reply, size_t *reply_length)
{
    int result = ready(gic);
    if (result < 0)
        return result;
    if (opcode == 0 || opcode >= VGICD_OP_EVENT || opcode == VGICD_OP_HELLO || opcode == VGICD_OP_BYE)
        return fail(gic, VGICD_INVALID, "opcode 0x%x is not for vgicd_request()", opcode);
    if (opcode == VGICD_OP_WAIT || opcode == VGICD_OP_SUBSCRIBE)
        return fail(gic, VGICD_INVALID, "vgicd_wait() and vgicd_subscribe() are for that");
    if (flags & ~VGICD_FLAG_EFFECTS)
        return fail(gic, VGICD_INVALID, "the flags 0x%x are not for vgicd_request()", flags);
    if (length + VGICD_HEAD_BYTES > gic->frame_limit && opcode != VGICD_OP_RESTORE)
        return fail(gic, VGICD_INVALID, "a body of %zu bytes does not fit a frame, and only RESTORE may be split", length);
    if ((result = exchange(gic, opcode, flags, body, length, 0)) < 0)
        return result;
    if (reply)
        *reply = gic->reply.body;
    if (reply_length)
        *reply_length = gic->reply.length;
    return gic->reply.status == VGICD_STATUS_ABORT ? VGICD_ABORT : VGICD_OK;
}

/* --- what is known ----------------------------------------------------------------------------------------------- */

const struct vgicd_info *vgicd_info(const struct vgicd *gic)
{
    return &gic->info;
}

const struct vgicd_window *vgicd_window_at(const struct vgicd *gic, uint64_t address, unsigned size)
{
    unsigned i;
    for (i = 0; i < gic->info.window_count; i++) {
        const struct vgicd_window *window = &gic->info.windows[i];
        const uint64_t offset = address - window->base;
        if (address >= window->base && offset < window->size && size <= window->size - offset
            && strcmp(window->name, "GICH") != 0)
            return window;
    }
    return NULL;
}

int vgicd_fd(const struct vgicd *gic)
{
    return gic->fd;
}

const char *vgicd_error(const struct vgicd *gic)
{
    return gic->error;
}

unsigned vgicd_status(const struct vgicd *gic)
{
    return gic->status;
}

const char *vgicd_field(const struct vgicd *gic)
{
    return gic->field;
}

int vgicd_maybe_applied(const struct vgicd *gic)
{
    return gic->maybe_applied;
}

uint16_t vgicd_outputs(const struct vgicd *gic)
{
    return gic->outputs;
}

int vgicd_irq(const struct vgicd *gic, unsigned vcpu)
{
    return vcpu < 8 && (gic->outputs >> 2 * vcpu & 1);
}

int vgicd_fiq(const struct vgicd *gic, unsigned vcpu)
{
    return vcpu < 8 && (gic->outputs >> (2 * vcpu + 1) & 1);
}

uint16_t vgicd_changed(struct vgicd *gic)
{
    const uint16_t changed = gic->outputs ^ gic->looked;
    gic->looked = gic->outputs;
    return changed;
}

uint64_t vgicd_order(const struct vgicd *gic)
{
    return gic->order;
}

/* --- connection -------------------------------------------------------------------------------------------------- */

struct vgicd *vgicd_new(void)
{
    struct vgicd *gic = calloc(1, sizeof *gic);
    if (gic) {
        gic->fd = -1;
        gic->dead = VGICD_LOST;
        fail(gic, 0, "not connected yet: vgicd_connect() first");
    }
    return gic;
}

void vgicd_close(struct vgicd *gic)
{
    if (gic->fd >= 0)
        drop(gic, VGICD_LOST, "closed by this program");
    gic->maybe_applied = 0;
}

void vgicd_free(struct vgicd *gic)
{
    if (!gic)
        return;
    vgicd_close(gic);
    free(gic->long_reply.bytes);
    free(gic->long_events.bytes);
    free(gic);
}

/* What a socket of ours is like; 0 or an errno. */
static int tune(int fd)
{
    const int flags = fcntl(fd, F_GETFD);
#ifdef SO_NOSIGPIPE
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
    return flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? errno : 0;
}

static int unreachable(struct vgicd *gic, int error)
{
    const char *hint = "";
    char text[128];
    if (error == ENOENT)
        hint = "; no daemon listens there: start one with `vgicd serve`";
    else if (error == ECONNREFUSED)
        hint = "; no daemon listens there";
    else if (error == EACCES)
        hint = "; the socket's mode does not let you in";
    return drop(gic, VGICD_LOST, "cannot connect: %s%s", reason(error, text, sizeof text), hint);
}

static int open_unix(struct vgicd *gic, const char *path, int type)
{
    const int64_t deadline = deadline_of(gic->timeout_ms);
    struct sockaddr_un name;
    const char *home = getenv("HOME");
    int error, length;
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
        length = snprintf(name.sun_path, sizeof name.sun_path, "%s%s", home, path + 1);
    else
        length = snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    if (length <= 0)
        return fail(gic, VGICD_INVALID, "%s: names no path: write unix:PATH", gic->address);
    if ((size_t)length >= sizeof name.sun_path)
        return fail(gic, VGICD_INVALID, "%s: a UNIX socket's path has at most %zu bytes, not %d", gic->address,
                    sizeof name.sun_path - 1, length);
    if ((gic->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) < 0 || (error = tune(gic->fd)) != 0)
        return unreachable(gic, errno);
    do { /* a full backlog blocks connect(), and poll() does not tell when it no longer would */
        const int64_t left = deadline - microseconds();
        if (deadline >= 0 && left <= 0) {
            error = ETIMEDOUT;
            break;
        }
        if (deadline >= 0) { /* anew, as an emulator's own timer signals interrupt it again and again */
            struct timeval patience;
            patience.tv_sec = (time_t)(left / 1000000);
            patience.tv_usec = (suseconds_t)(left % 1000000);
            setsockopt(gic->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        }
        error = connect(gic->fd, (struct sockaddr *)&name, sizeof name) < 0 ? errno : 0;
    } while (error == EINTR);
    if (error == EAGAIN)
        error = ETIMEDOUT;
    return error && error != EISCONN ? unreachable(gic, error) : VGICD_OK;
}

/* Connect one of a name's addresses; 0 or an errno. */
static int try_tcp(struct vgicd *gic, const struct addrinfo *address, int64_t deadline)
{
    const int yes = 1;
    socklen_t size = sizeof(int);
    int error, flags;
    if ((gic->fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol)) < 0)
        return errno;
    if ((error = tune(gic->fd)) != 0)
        return error;
    if ((flags = fcntl(gic->fd, F_GETFL)) < 0 || fcntl(gic->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return errno;
    if (connect(gic->fd, address->ai_addr, address->ai_addrlen) < 0) {
        if (errno != EINPROGRESS && errno != EINTR)
            return errno;
        if ((flags = sleep_until(gic, POLLOUT, deadline)) <= 0)
            return flags < 0 ? EIO : ETIMEDOUT;
        if (getsockopt(gic->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            return errno;
        if (error)
            return error;
    }
    return setsockopt(gic->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 ? errno : 0;
}

static int open_tcp(struct vgicd *gic, const char *rest)
{
    const int64_t deadline = deadline_of(gic->timeout_ms);
    const char *colon = strrchr(rest, ':');
    struct addrinfo hints, *found, *one;
    char host[256];
    char *end;
    long port;
    size_t length;
    int error;
    if (!colon || colon == rest)
        return fail(gic, VGICD_INVALID, "%s: lacks a host or a port: write tcp:HOST:PORT", gic->address);
    length = (size_t)(colon - rest);
    if (length >= sizeof host)
        return fail(gic, VGICD_INVALID, "%s: the host is too long", gic->address);
    memcpy(host, rest, length);
    host[length] = '\0';
    if ((host[0] == '[') != (host[length - 1] == ']') || (host[0] != '[' && strchr(host, ':')))
        return fail(gic, VGICD_INVALID, "%s: an IPv6 host is written in brackets, as in tcp:[::1]:7070", gic->address);
    if (host[0] == '[') {
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
    port = colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : 0;
    if (port < 1 || port > 0xFFFF || *end)
        return fail(gic, VGICD_INVALID, "%s: a port is a number from 1 to 65535", gic->address);
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if ((error = getaddrinfo(host, colon + 1, &hints, &found)) != 0)
        return drop(gic, VGICD_LOST, "cannot connect: %s", gai_strerror(error));
    error = EADDRNOTAVAIL;
    for (one = found; one; one = one->ai_next) {
        if ((error = try_tcp(gic, one, deadline)) == 0)
            break;
        if (gic->fd >= 0)
            close(gic->fd);
        gic->fd = -1;
    }
    freeaddrinfo(found);
    return error ? unreachable(gic, error) : VGICD_OK;
}

static int open_socket(struct vgicd *gic, const char *address)
{
    const char *colon = strchr(address, ':'), *slash = strchr(address, '/');
    gic->packets = 0;
    if (address[0] == '.' || address[0] == '/' || (slash && (!colon || slash < colon)))
        return open_unix(gic, address, SOCK_STREAM);
    if (strncmp(address, "unix:", 5) == 0)
        return open_unix(gic, address + 5, SOCK_STREAM);
    if (strncmp(address, "seqpacket:", 10) == 0) {
        gic->packets = 1;
        return open_unix(gic, address + 10, SOCK_SEQPACKET);
    }
    if (strncmp(address, "tcp:", 4) == 0)
        return open_tcp(gic, address + 4);
    return fail(gic, VGICD_INVALID, "%s: is not an address: write unix:PATH, seqpacket:PATH or tcp:HOST:PORT",
                gic->address);
}

static int parse_welcome(struct vgicd *gic, struct vgicd_info *info)
{
    const unsigned char *body = gic->reply.body, *limits = body + IN_REPLY(VGICD_WELCOME_LIMITS);
    struct cursor cursor = cursor_of(&gic->reply);
    unsigned i;
    memset(info, 0, sizeof *info);
    if (!skip(&cursor, IN_REPLY(VGICD_WELCOME_FIXED)) || get32(body + IN_REPLY(VGICD_WELCOME_MAGIC)) != VGICD_MAGIC)
        return misread(gic, "no vgicd answers there");
    info->version = body[IN_REPLY(VGICD_WELCOME_VERSION)];
    info->role = body[IN_REPLY(VGICD_WELCOME_ROLE)];
    info->is_explicit = body[IN_REPLY(VGICD_WELCOME_EXPLICIT)];
    info->features = get32(body + IN_REPLY(VGICD_WELCOME_FEATURES));
    info->frame_limit = get32(limits + VGICD_LIMITS_FRAME);
    info->vector_limit = get32(limits + VGICD_LIMITS_ENTRIES);
    info->wait_ms = get32(limits + VGICD_LIMITS_WAIT_MS);
    info->vcpus = get16(body + IN_REPLY(VGICD_WELCOME_VCPUS));
    info->spis = get16(body + IN_REPLY(VGICD_WELCOME_SPIS));
    info->lrs = get16(body + IN_REPLY(VGICD_WELCOME_LRS));
    string(&cursor, info->variant, sizeof info->variant - 1, 0);
    string(&cursor, info->profile, sizeof info->profile - 1, 0);
    string(&cursor, info->domain, VGICD_NAME_LIMIT, 0);
    string(&cursor, info->server, VGICD_NAME_LIMIT, 0);
    info->window_count = word(&cursor);
    if (info->window_count > VGICD_WINDOW_LIMIT)
        cursor.bad = 1;
    for (i = 0; i < info->window_count && !cursor.bad; i++) {
        zeros(&cursor, 8);
        info->windows[i].base = wide(&cursor);
        info->windows[i].size = wide(&cursor);
        string(&cursor, info->windows[i].name, VGICD_NAME_LIMIT, 0);
    }
    if (cursor.bad || cursor.at != cursor.end)
        return misread(gic, "a WELCOME whose fields do not fill it");
    if (info->version != VGICD_PROTOCOL_VERSION)
        return misread(gic, "a version that was not offered");
    if (info->role < VGICD_ROLE_OBSERVE || info->role > VGICD_ROLE_CONTROL || info->is_explicit > 1 || info->vcpus < 1
        || info->vcpus > 8 || info->frame_limit < VGICD_HOT_BYTES || info->frame_limit > VGICD_FRAME_LIMIT)
        return misread(gic, "a WELCOME with a field out of its range");
    if (info->vector_limit > (info->frame_limit - VGICD_VECTOR_ENTRIES) / VGICD_ENTRY_BYTES)
        info->vector_limit = (info->frame_limit - VGICD_VECTOR_ENTRIES) / VGICD_ENTRY_BYTES;
    if (info->vector_limit > VGICD_VECTOR_LIMIT)
        info->vector_limit = VGICD_VECTOR_LIMIT;
    return VGICD_OK;
}

static int say_hello(struct vgicd *gic, const struct vgicd_options *options, const char *name)
{
    unsigned char body[IN_REQUEST(VGICD_HELLO_FIXED) + 4 + VGICD_NAME_LIMIT] = {0};
    const size_t length = strlen(name);
    struct vgicd_info info;
    int result;
    put32(body + IN_REQUEST(VGICD_HELLO_MAGIC), VGICD_MAGIC);
    body[IN_REQUEST(VGICD_HELLO_LOWEST)] = VGICD_PROTOCOL_VERSION;
    body[IN_REQUEST(VGICD_HELLO_HIGHEST)] = VGICD_PROTOCOL_VERSION;
    body[IN_REQUEST(VGICD_HELLO_ROLE)] = (unsigned char)options->role;
    put32(body + IN_REQUEST(VGICD_HELLO_FEATURES), options->features);
    put32(body + IN_REQUEST(VGICD_HELLO_CLIENT), (uint32_t)length);
    memcpy(body + IN_REQUEST(VGICD_HELLO_CLIENT) + 4, name, length);
    result = exchange(gic, VGICD_OP_HELLO, 0, body, IN_REQUEST(VGICD_HELLO_FIXED) + 4 + (length + 3) / 4 * 4, 0);
    if (result == VGICD_OK && (result = parse_welcome(gic, &info)) == VGICD_OK) {
        gic->info = info;
        gic->frame_limit = info.frame_limit;
        gic->error[0] = gic->field[0] = '\0';
        gic->status = VGICD_STATUS_OK;
    }
    return result;
}

/* Printable ASCII of at most VGICD_NAME_LIMIT bytes. */
static int is_name(const char *text)
{
    size_t length = 0;
    for (; text[length]; length++)
        if (length == VGICD_NAME_LIMIT || text[length] < 0x20 || text[length] > 0x7E)
            return 0;
    return 1;
}

int vgicd_connect(struct vgicd *gic, const char *address, const struct vgicd_options *options)
{
    static const struct vgicd_options defaults; /* all zero */
    const char *name;
    int result;
    if (!options)
        options = &defaults;
    name = options->name ? options->name : "vgicd.c";
    vgicd_close(gic);
    snprintf(gic->address, sizeof gic->address, "%s", address);
    gic->timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    gic->spin_us = options->spin_us ? options->spin_us : DEFAULT_SPIN_US;
    if (gic->spin_us < 0)
        gic->spin_us = 0;
    gic->request_id = 0;
    gic->outputs = gic->looked = 0;
    gic->order = 0;
    gic->mask = 0;
    gic->subscribed = gic->departing = gic->more = 0;
    gic->event_count = 0;
    gic->lost_events = 0;
    gic->frame_limit = VGICD_FRAME_LIMIT;
    gic->dead = VGICD_LOST;
    if (options->role > VGICD_ROLE_CONTROL)
        return fail(gic, VGICD_INVALID, "%u is not a role: VGICD_ROLE_... are", options->role);
    if (!is_name(name))
        return fail(gic, VGICD_INVALID, "a client's name is at most %u printable ASCII characters", VGICD_NAME_LIMIT);
    if ((result = open_socket(gic, address)) == VGICD_OK)
        result = say_hello(gic, options, name);
    if (result == VGICD_REFUSED)
        shut(gic, VGICD_LOST); /* the sentence stays */
    gic->maybe_applied = 0;    /* HELLO changes nothing */
    return result;
}
