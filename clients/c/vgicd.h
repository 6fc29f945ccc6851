/*
 * A client of vgicd, the virtual GICv2 daemon, for emulators: C99, POSIX sockets, nothing else.
 *
 *     struct vgicd *gic = vgicd_new();
 *     if (vgicd_connect(gic, "unix:/run/vgicd/guest.sock", NULL) < 0)
 *         complain(vgicd_error(gic));
 *     vgicd_read(gic, cpu, VGICD_SPACE_PHYSICAL, address, 4, &value);     one round trip
 *     cpu_set_irq(cpu, vgicd_irq(gic, cpu));                              known from the reply
 *     vgicd_line(gic, 27, cpu, 1);                                        the timer of `cpu` raises its PPI
 *
 * Requests and replies.  A call sends one request and waits for its reply, at most `timeout_ms`.  It answers VGICD_OK,
 * VGICD_ABORT (the guest's access faulted: deliver an abort to the guest), or an error below 0.  vgicd_error() is then
 * a sentence that says what to do, the daemon's own where it gave one.
 *
 * Levels.  Every frame from the daemon, replies of refused requests included, carries the levels of all vCPUs'
 * interrupt inputs after the operation: vgicd_outputs(), vgicd_irq(), vgicd_fiq() and vgicd_changed() only look.
 *
 * Threads.  No state is global.  A connection is used by one thread at a time; different connections are independent,
 * so that an emulator with a thread per CPU opens one for each.
 *
 * Nothing here exits, prints, raises a signal or allocates memory, but: vgicd_new() allocates the connection once,
 * vgicd_connect() resolves TCP names, and a reply that is longer than a frame (DUMP, SNAPSHOT, STATS) is joined in
 * memory that is kept for the next.
 */
#ifndef VGICD_H
#define VGICD_H

#include <stddef.h>
#include <stdint.h>

#include "vgicd_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Results.  After an error below 0 the domain is as it was, unless the error is VGICD_LOST or VGICD_BROKEN and
 * vgicd_maybe_applied() says otherwise. */
enum vgicd_result {
    VGICD_OK = 0,
    VGICD_ABORT = 1,    /* applied, and the guest's access takes an abort; a value read is 0 */
    VGICD_REFUSED = -1, /* the daemon refused the request; vgicd_status() is why.  The connection goes on */
    VGICD_TIMEOUT = -2, /* what was waited for did not happen in time.  Nothing is wrong, the connection goes on */
    VGICD_INVALID = -3, /* an argument is wrong: nothing was sent */
    VGICD_MEMORY = -4,  /* no memory for a long reply: as VGICD_LOST */
    VGICD_LOST = -5,    /* not connected: unreachable, closed by the daemon, or no reply in time.  Sticky */
    VGICD_BROKEN = -6   /* daemon and client no longer understand each other; the connection is closed.  Sticky */
};

/* A line that no vCPU owns: that of an SPI. */
#define VGICD_SPI VGICD_NO_VCPU

struct vgicd; /* a connection */

struct vgicd_options {  /* all zero: the defaults */
    unsigned role;      /* VGICD_ROLE_...; 0: the highest that the daemon grants */
    uint32_t features;  /* VGICD_FEATURE_... without which the program cannot work */
    const char *name;   /* for the daemon's log: printable ASCII, at most 64 bytes; NULL: "vgicd.c" */
    int timeout_ms;     /* to connect, and for each reply; 0: 30 s; below 0: for ever, as beside a debugger */
    int spin_us;        /* microseconds to look for a reply before sleeping; 0: the default; below 0: none */
};

struct vgicd_window {   /* a frame of the guest's physical address map */
    uint64_t base;
    uint64_t size;
    char name[VGICD_NAME_LIMIT + 1]; /* GICD, GICC, GICH (no guest reaches it) or a device */
};

struct vgicd_info {     /* what the daemon said at HELLO */
    unsigned version;   /* of the protocol */
    unsigned role;      /* granted */
    unsigned is_explicit; /* world switches are the client's: vgicd_enter() and vgicd_exit() */
    uint32_t features;  /* VGICD_FEATURE_... offered */
    unsigned vcpus;
    unsigned spis;      /* INTIDs are 0 to 31 + spis */
    unsigned lrs;       /* list registers of a vCPU */
    uint32_t frame_limit; /* bytes of a frame */
    uint32_t vector_limit; /* entries of a vector */
    uint32_t wait_ms;   /* the longest wait */
    char variant[33];   /* correct or xen */
    char profile[33];   /* virt, xen-guest or trace */
    char domain[VGICD_NAME_LIMIT + 1];
    char server[VGICD_NAME_LIMIT + 1];
    unsigned window_count;
    struct vgicd_window windows[VGICD_WINDOW_LIMIT];
};

struct vgicd_entry {    /* of a vector: made by vgicd_reading(), vgicd_writing() and vgicd_driving() */
    uint64_t value;
    uint32_t offset;
    uint16_t vcpu;
    uint8_t operation;
    uint8_t space;
};

struct vgicd_outcome {  /* of one entry */
    uint64_t value;     /* read; 0 on an abort */
    int aborted;        /* this entry's access takes an abort */
    uint16_t outputs;   /* levels after this entry */
};

struct vgicd_event {    /* fields as on the wire: SPEC.md, section 10 */
    uint64_t order;
    uint64_t value;
    uint32_t address;
    uint16_t intid;
    uint8_t kind;       /* VGICD_EVENT_...; VGICD_EVENT_GAP: `value` events were lost here */
    uint8_t vcpu;
};

struct vgicd_world {    /* the hardware at a world switch */
    uint64_t eisr, elrsr; /* vgicd_exit(): as found; bit n is list register n */
    uint32_t hcr, misr;
    uint32_t apr;       /* vgicd_exit(): as found */
    uint32_t used;      /* vgicd_enter(): list registers filled */
    uint32_t count;     /* of list registers */
    uint32_t lrs[64];
};

/* --- connection -------------------------------------------------------------------------------------------------- */

/* A connection object, not yet connected.  NULL: no memory.  Every other function takes it, and none takes NULL but
 * vgicd_free(). */
struct vgicd *vgicd_new(void);

/* Close and free. */
void vgicd_free(struct vgicd *gic);

/* Connect to `address` ("unix:PATH", "seqpacket:PATH", "tcp:HOST:PORT", or a path with a slash) and say HELLO.
 * `options` may be NULL and is not kept.  A connection that is open is closed first: calling this again reconnects.  The
 * domain's state is the daemon's and survives; subscriptions do not, and waiting events are dropped.
 * VGICD_INVALID: address or options; VGICD_LOST: nobody answers there; VGICD_REFUSED: role or features, or the
 * daemon lets nobody in (vgicd_status() is VGICD_STATUS_BUSY: later there may be room); VGICD_BROKEN: what answers there
 * is no vgicd. */
int vgicd_connect(struct vgicd *gic, const char *address, const struct vgicd_options *options);

/* Close.  Later calls answer VGICD_LOST. */
void vgicd_close(struct vgicd *gic);

/* What the daemon said at the last successful HELLO; all zero before.  A RESET may have changed the geometry since. */
const struct vgicd_info *vgicd_info(const struct vgicd *gic);

/* The window in which a guest's access of `size` bytes at `address` lies whole; NULL: none.  GICH is in no guest's. */
const struct vgicd_window *vgicd_window_at(const struct vgicd *gic, uint64_t address, unsigned size);

/* The socket, for poll() beside others; -1 when not connected.  Readable when something has come: vgicd_poll().  What
 * earlier calls took in no longer shows there: look at vgicd_changed() and vgicd_next_event() before sleeping.  Not to be
 * read, written or closed. */
int vgicd_fd(const struct vgicd *gic);

/* --- errors ------------------------------------------------------------------------------------------------------ */

/* A sentence about the last call that answered below 0; "" if none has.  Valid until the next call. */
const char *vgicd_error(const struct vgicd *gic);

/* Of the last VGICD_REFUSED: the VGICD_STATUS_..., and the request's field that is to blame ("" if none). */
unsigned vgicd_status(const struct vgicd *gic);
const char *vgicd_field(const struct vgicd *gic);

/* After VGICD_LOST, VGICD_BROKEN or VGICD_MEMORY: 1 if the request of that call was sent, at least in part, and its
 * reply never understood.  It may then have been applied, once, or not at all; nothing here repeats it. */
int vgicd_maybe_applied(const struct vgicd *gic);

/* What a result, or a status, means in general. */
const char *vgicd_strerror(int result);
const char *vgicd_status_text(unsigned status);

/* --- levels ------------------------------------------------------------------------------------------------------ */

/* As of the last frame from the daemon: bit 2v is vIRQ of vCPU v, bit 2v+1 its vFIQ. */
uint16_t vgicd_outputs(const struct vgicd *gic);
int vgicd_irq(const struct vgicd *gic, unsigned vcpu);
int vgicd_fiq(const struct vgicd *gic, unsigned vcpu);

/* The bits of vgicd_outputs() that differ from what it was when this was last called (at first: from 0). */
uint16_t vgicd_changed(struct vgicd *gic);

/* The number of the last operation in the domain's total order.  Of two connections' outputs those with the higher
 * number are the newer. */
uint64_t vgicd_order(const struct vgicd *gic);

/* --- the guest's accesses and the devices' lines ----------------------------------------------------------------- */

/* Read `size` bytes (1, 2, 4 or 8) as `vcpu`, with the guest's side effects: reading GICC_IAR acknowledges.  `space` is
 * VGICD_SPACE_PHYSICAL for a guest-physical address, or what `address` is an offset in; VGICD_PLANE_... << 4 may be
 * added.  `value` may be NULL. */
int vgicd_read(struct vgicd *gic, unsigned vcpu, unsigned space, uint64_t address, unsigned size, uint64_t *value);

/* Write the low `size` bytes of `value`. */
int vgicd_write(struct vgicd *gic, unsigned vcpu, unsigned space, uint64_t address, unsigned size, uint64_t value);

/* What vgicd_read() would answer now, without its side effects, ever. */
int vgicd_peek(struct vgicd *gic, unsigned vcpu, unsigned space, uint64_t address, unsigned size, uint64_t *value);

/* Drive the input line of an SPI (`vcpu` is VGICD_SPI) or of the PPI of `vcpu` to `level`, 0 or not 0.  A level
 * interrupt's line stays until it is driven again; a rise triggers an edge interrupt once. */
int vgicd_line(struct vgicd *gic, unsigned intid, unsigned vcpu, int level);

/* Raise and lower a line in one operation: one trigger of an edge interrupt. */
int vgicd_pulse(struct vgicd *gic, unsigned intid, unsigned vcpu);

/* --- vectors ----------------------------------------------------------------------------------------------------- */

struct vgicd_entry vgicd_reading(unsigned vcpu, unsigned space, uint32_t offset, unsigned size);
struct vgicd_entry vgicd_writing(unsigned vcpu, unsigned space, uint32_t offset, unsigned size, uint64_t value);
struct vgicd_entry vgicd_driving(unsigned intid, unsigned vcpu, int level);
struct vgicd_entry vgicd_pulsing(unsigned intid, unsigned vcpu);

/* Carry out 1 to vgicd_info()->vector_limit entries in one round trip, with nothing in between.  `outcomes`, of `count`,
 * may be NULL.  An abort does not stop a vector: it is in its outcome, and the answer is VGICD_OK.  If one entry would
 * be refused the whole is, and vgicd_field() names it: "entries[17].space". */
int vgicd_vector(struct vgicd *gic, const struct vgicd_entry *entries, size_t count, struct vgicd_outcome *outcomes);

/* --- waiting and events ------------------------------------------------------------------------------------------ */

/* Wait until one of `outputs` (0: any) is high, at most `milliseconds`; at once if one is high already.  This is WFI for
 * a CPU that has a connection for itself.  VGICD_TIMEOUT: none was. */
int vgicd_wait(struct vgicd *gic, uint16_t outputs, uint32_t milliseconds);

/* Ask for events: `mask` has bit 1 << VGICD_EVENT_... for each kind; 0 ends it.  With the bit of VGICD_EVENT_OUTPUT,
 * vgicd_outputs() follows what other connections cause, as soon as vgicd_poll() or any other call takes it in. */
int vgicd_subscribe(struct vgicd *gic, uint32_t mask);

/* Take in what has arrived, after waiting for it at most `milliseconds` (0: not at all; below 0: for ever).
 * VGICD_OK: something has; VGICD_TIMEOUT: nothing.  With 0 it is cheap enough for every slice of an emulator. */
int vgicd_poll(struct vgicd *gic, int milliseconds);

/* Wait at most `milliseconds` (below 0: for ever) until vgicd_outputs() is not what it was at the call.  Needs a
 * subscription to VGICD_EVENT_OUTPUT.  VGICD_TIMEOUT: it still is. */
int vgicd_wait_change(struct vgicd *gic, int milliseconds);

/* Take the oldest event that has been taken in.  1: there was one; 0: none.  Two thousand are kept; of more the newest
 * are lost, and a VGICD_EVENT_GAP stands in their place. */
int vgicd_next_event(struct vgicd *gic, struct vgicd_event *event);

/* --- the domain -------------------------------------------------------------------------------------------------- */

int vgicd_ping(struct vgicd *gic);

/* Build the domain anew with the configuration that it has: power-on.  Role control. */
int vgicd_reset(struct vgicd *gic);

/* Power a vCPU on or off, as PSCI's CPU_ON and CPU_OFF do.  Role control. */
int vgicd_power(struct vgicd *gic, unsigned vcpu, int on);

/* Advance the virtual time of the domain's own devices to `ticks` of the guest's counter; never back. */
int vgicd_time(struct vgicd *gic, uint64_t ticks);

/* World switches by the client: `is_explicit` 1 starts that (role control), 0 ends it.  `world` may be NULL. */
int vgicd_mode(struct vgicd *gic, int is_explicit);
int vgicd_enter(struct vgicd *gic, unsigned vcpu, struct vgicd_world *world);
int vgicd_exit(struct vgicd *gic, unsigned vcpu, struct vgicd_world *world);

/* Any request of the protocol but HELLO, BYE, and WAIT and SUBSCRIBE, which have calls of their own.  `body` is what
 * follows the 12-byte head, laid out as SPEC.md says (the offsets in vgicd_protocol.h count from the frame's start: those
 * of a request 12 bytes earlier, those of a reply 24); `flags` is VGICD_FLAG_EFFECTS or 0.  RESTORE's body may be longer
 * than a frame.  The reply's body, joined, is at `*reply` until the next call; `reply` and `reply_length` may be NULL. */
int vgicd_request(struct vgicd *gic, unsigned opcode, unsigned flags, const void *body, size_t length,
                  const unsigned char **reply, size_t *reply_length);

#ifdef __cplusplus
}
#endif

#endif /* VGICD_H */
