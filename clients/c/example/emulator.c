/*
 * A whole emulator in one file, but for its CPU: the loop around which a real one is built, with vgicd as its GIC.
 *
 *   emulator [ADDRESS]          unix:PATH, seqpacket:PATH or tcp:HOST:PORT; $VGICD_ADDRESS if it is left out
 *
 * The machine has one CPU, RAM, a timer that drives PPI 27 and a device that drives SPI 40.  The "guest" is the C code of
 * `guest_start` and `guest_irq`: it touches the world only as guest code does, by loads and stores at guest-physical
 * addresses and by WFI, so that it can be replaced by a CPU that runs instructions.
 *
 * What every emulator has to keep, and where it is here:
 *
 *   order       An access is done when its reply is there; the next instruction runs after it.  A device first changes its
 *               own state, then its line, so that the guest never sees the interrupt without its cause.      (timer_update)
 *   levels      After every call the levels of all CPUs are known; nothing is polled.  An interrupt is taken between
 *               instructions, when its input is high and not masked.                                         (cpu_step)
 *   lines       A level line stays up until its cause is gone.  Lowering it is a LINE of its own.            (timer_write)
 *   WFI         A CPU that sleeps is woken by its inputs, masked or not.  Time goes on to the next timer; if none is set,
 *               only another client can raise a line, and vgicd_wait() sleeps until it does.                 (cpu_wfi)
 *   aborts      VGICD_ABORT is the guest's business: an exception for it.  What is below 0 is ours.          (bus_access)
 *
 * Exit status: 0 the guest took what it should, 1 it did not, 2 usage, 3 the daemon is not there or refused.
 */
#include "vgicd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICKS = 10, PULSES = 3, TICK_PERIOD = 1000, TIMER_PPI = 27, DEVICE_SPI = 40, SELF_SGI = 5, STEPS = 100000 };
enum { PASSED = 0, FAILED = 1, USAGE = 2, NO_DAEMON = 3 };

#define RAM_BASE 0x40000000u
#define RAM_SIZE 0x1000u
#define TIMER_BASE 0x0A000000u /* TIMER_BASE: write the time of the next tick, 0 disarms */

struct machine {
    struct vgicd *gic;
    uint64_t gicd, gicc; /* where the guest finds them: the device tree's business in a real machine */
    uint64_t now;        /* virtual time: instructions executed */
    uint64_t compare;    /* the timer's next tick, 0: none */
    int timer_line, device_pulses;
    int masked;          /* PSTATE.I */
    int waiting;         /* in WFI */
    int aborts;
    uint8_t ram[RAM_SIZE];
    unsigned ticks, pulses, sgis, spurious, unexpected; /* the guest's counters */
};

/* What no guest can mend ends the emulator. */
static void require(struct machine *m, int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "emulator: %s: %s\n", what, vgicd_error(m->gic));
    if (vgicd_maybe_applied(m->gic))
        fputs("emulator: that request may have been applied: start from a snapshot, do not repeat it\n", stderr);
    vgicd_free(m->gic);
    exit(NO_DAEMON);
}

/* --- devices ----------------------------------------------------------------------------------------------------- */

/* The timer's condition as its line: only a change is worth a round trip. */
static void timer_update(struct machine *m)
{
    const int level = m->compare != 0 && m->now >= m->compare;
    if (level == m->timer_line)
        return;
    m->timer_line = level;
    require(m, vgicd_line(m->gic, TIMER_PPI, 0, level), "the timer's line");
}

static void timer_write(struct machine *m, uint64_t compare)
{
    m->compare = compare;
    timer_update(m); /* the guest has served the interrupt: the line falls before the write is over */
}

/* Something outside the guest: a packet arrives.  SPI 40 is edge-triggered, so that a pulse is one interrupt. */
static void device_update(struct machine *m)
{
    if (m->device_pulses < PULSES && m->now >= (uint64_t)(m->device_pulses + 1) * 2500) {
        m->device_pulses++;
        require(m, vgicd_pulse(m->gic, DEVICE_SPI, VGICD_SPI), "the device's line");
    }
}

/* --- the bus ----------------------------------------------------------------------------------------------------- */

/* One access of the guest's.  A real emulator finds the window by its own memory map; what is nobody's aborts. */
static uint64_t bus_access(struct machine *m, uint64_t address, unsigned size, int is_write, uint64_t value)
{
    int result;
    if (address >= RAM_BASE && address - RAM_BASE <= RAM_SIZE - size) {
        uint8_t *at = m->ram + (address - RAM_BASE);
        unsigned i;
        for (i = 0; is_write && i < size; i++)
            at[i] = (uint8_t)(value >> 8 * i);
        for (value = 0, i = 0; i < size; i++)
            value |= (uint64_t)at[i] << 8 * i;
        return value;
    }
    if (address == TIMER_BASE && is_write) {
        timer_write(m, value);
        return 0;
    }
    if (!vgicd_window_at(m->gic, address, size)) {
        m->aborts++;
        return 0;
    }
    result = is_write ? vgicd_write(m->gic, 0, VGICD_SPACE_PHYSICAL, address, size, value)
                      : vgicd_read(m->gic, 0, VGICD_SPACE_PHYSICAL, address, size, &value);
    require(m, result, "an access to the GIC");
    if (result == VGICD_ABORT)
        m->aborts++; /* here a real CPU enters its data abort handler */
    return value;
}

/* --- the guest: only bus accesses and WFI ------------------------------------------------------------------------ */

static uint32_t load(struct machine *m, uint64_t address)
{
    return (uint32_t)bus_access(m, address, 4, 0, 0);
}

static void store(struct machine *m, uint64_t address, uint32_t value)
{
    bus_access(m, address, 4, 1, value);
}

static void guest_start(struct machine *m)
{
    store(m, m->gicd + 0x000, 0);                        /* GICD_CTLR: off while it is programmed */
    store(m, m->gicd + 0x100, 1u << TIMER_PPI);          /* GICD_ISENABLER0 */
    store(m, m->gicd + 0xC08, 2u << 2 * (DEVICE_SPI % 16)); /* GICD_ICFGR2: SPI 40 is edge-triggered */
    bus_access(m, m->gicd + 0x400 + DEVICE_SPI, 1, 1, 0x40); /* GICD_IPRIORITYR: a byte store, before the timer */
    bus_access(m, m->gicd + 0x400 + TIMER_PPI, 1, 1, 0x80);
    bus_access(m, m->gicd + 0x800 + DEVICE_SPI, 1, 1, 1); /* GICD_ITARGETSR: to CPU 0 */
    store(m, m->gicd + 0x104, 1u << DEVICE_SPI % 32);    /* GICD_ISENABLER1 */
    store(m, m->gicd + 0x000, 1);                        /* GICD_CTLR */
    store(m, m->gicc + 0x004, 0xFF);                     /* GICC_PMR: let every priority through */
    store(m, m->gicc + 0x000, 1);                        /* GICC_CTLR */
    store(m, m->gicd + 0xF00, 2u << 24 | SELF_SGI);      /* GICD_SGIR: to myself; pending until the mask is opened */
    store(m, TIMER_BASE, TICK_PERIOD);
    m->masked = 0;                                       /* MSR DAIFCLR, #2 */
}

static void guest_irq(struct machine *m)
{
    const uint32_t iar = load(m, m->gicc + 0x00C);       /* GICC_IAR: acknowledges */
    const uint32_t intid = iar & 0x3FF;
    if (intid >= 1020) {
        m->spurious++;
        return;                                          /* nothing to end */
    }
    if (intid == TIMER_PPI) {
        m->ticks++;
        store(m, TIMER_BASE, m->ticks < TICKS ? (uint32_t)m->compare + TICK_PERIOD : 0);
    } else if (intid == DEVICE_SPI) {
        m->pulses++;
    } else if (intid == SELF_SGI) {
        m->sgis++;
    } else {
        m->unexpected++;
    }
    store(m, RAM_BASE, m->ticks);                        /* what a guest does with its day */
    store(m, m->gicc + 0x010, iar);                      /* GICC_EOIR: the whole of IAR, an SGI's source included */
}

static int guest_done(const struct machine *m)
{
    return m->ticks == TICKS && m->pulses == PULSES && m->sgis == 1;
}

/* --- the CPU ----------------------------------------------------------------------------------------------------- */

/* Between two instructions: the level is that of the last reply, whatever it was a reply to. */
static void cpu_step(struct machine *m)
{
    if (vgicd_irq(m->gic, 0)) {
        m->waiting = 0;       /* WFI ends whether or not the interrupt is masked */
        if (!m->masked) {
            m->masked = 1;    /* the exception masks; ERET restores */
            guest_irq(m);
            m->masked = 0;
            return;
        }
    }
    if (!m->waiting) {
        m->now += 7;          /* an instruction or a few of them */
        m->waiting = 1;       /* this guest's main loop is WFI */
    }
}

static void cpu_wfi(struct machine *m)
{
    if (!m->waiting || vgicd_irq(m->gic, 0))
        return;
    if (m->compare > m->now) {
        m->now = m->compare;  /* nothing can happen before: let virtual time jump there */
    } else if (m->device_pulses < PULSES) {
        m->now += 100;
    } else if (!guest_done(m)) {
        const int result = vgicd_wait(m->gic, 1, 1000); /* only another client could wake this CPU now */
        require(m, result == VGICD_TIMEOUT ? VGICD_OK : result, "waiting for an interrupt");
    }
}

static uint64_t window(const struct vgicd_info *info, const char *name)
{
    unsigned i;
    for (i = 0; i < info->window_count; i++)
        if (strcmp(info->windows[i].name, name) == 0)
            return info->windows[i].base;
    return 0;
}

int main(int argc, char **argv)
{
    static struct machine machine; /* all zero */
    struct machine *m = &machine;
    struct vgicd_options options = {0};
    const char *address = argc > 1 ? argv[1] : getenv("VGICD_ADDRESS");
    unsigned steps;
    int passed;
    if (argc > 2 || !address) {
        fputs("usage: emulator [ADDRESS]        or set VGICD_ADDRESS\n", stderr);
        return USAGE;
    }
    if (!(m->gic = vgicd_new())) {
        fputs("emulator: out of memory\n", stderr);
        return NO_DAEMON;
    }
    options.role = VGICD_ROLE_CONTROL; /* for the reset; role guest is enough for all else */
    options.name = "example emulator";
    require(m, vgicd_connect(m->gic, address, &options), "connecting");
    require(m, vgicd_reset(m->gic), "power-on");
    m->gicd = window(vgicd_info(m->gic), "GICD");
    m->gicc = window(vgicd_info(m->gic), "GICC");

    m->masked = 1;
    guest_start(m);
    for (steps = 0; steps < STEPS && !guest_done(m); steps++) {
        device_update(m); /* devices first, so that the CPU sees the levels that their lines make */
        timer_update(m);
        cpu_step(m);
        cpu_wfi(m);
    }

    passed = guest_done(m) && !m->spurious && !m->unexpected && !m->aborts && !vgicd_outputs(m->gic)
             && load(m, RAM_BASE) == TICKS;
    printf("timer ticks %u, pulses %u, SGIs %u, spurious %u, unexpected %u, aborts %d\n", m->ticks, m->pulses, m->sgis,
           m->spurious, m->unexpected, m->aborts);
    puts(passed ? "PASS" : "FAIL");
    vgicd_free(m->gic);
    return passed ? PASSED : FAILED;
}
