/* Preemption: a running handler is interrupted by a higher group priority, as GICC_BPR cuts it, and by nothing else. */
#include "scenario.h"

/* SGIs, by the priority that each has here. */
enum { LOWEST = 1, LOW = 2, MIDDLE = 3, HIGH = 4, LOWEST_PEER = 5 };

static u32 running_priority[MAX_CPUS][16];

static void raise(u32 intid)
{
    gic_sgi(TO_SELF, 0, intid);
}

static void on_nested(void)
{
    u32 iar = gic_acknowledge(), intid = INTID(iar);

    note('+', intid);
    running_priority[cpu_id()][intid & 15] = mmio_read(GICC_RPR);
    if (intid == LOW) {
        raise(LOWEST);
        raise(MIDDLE);
    } else if (intid == MIDDLE) {
        raise(HIGH);
    } else if (intid == LOWEST && trace_is(cpu_id(), "+1 ")) {
        raise(LOWEST_PEER);
    }
    irq_unmask();
    settle();
    irq_mask();
    note('-', intid);
    gic_end(iar);
}

static void set_priorities(void)
{
    gic_priority(LOWEST, 0xb0);
    gic_priority(LOWEST_PEER, 0xa8);
    gic_priority(LOW, 0x90);
    gic_priority(MIDDLE, 0x80);
    gic_priority(HIGH, 0x40);
}

static void begin(u32 intid, u32 binary_point)
{
    traces[cpu_id()].length = 0;
    traces[cpu_id()].text[0] = 0;
    set_priorities();
    mmio_write(GICC_BPR, binary_point);
    raise(intid);
    settle();
    settle();
}

static void preempt(void) { begin(LOW, 3); }
static void cut_between(void) { begin(LOWEST, 3); }     /* 0xb0 | 0xa0: groups of 16 priorities */
static void cut_above(void) { begin(LOWEST, 4); }       /* 0xa0 | 0xa0: groups of 32 */

static const char *expect(job *play, const char *expected)
{
    run_everywhere(play);
    say("   %s\n", traces[0].text);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        if (!trace_is(cpu, expected))
            return fail("cpu %u ran %s, not %s", cpu, traces[cpu].text, expected);
    }
    return 0;
}

const char *nested_priorities(void)
{
    const char *why;

    handle_irqs_with(on_nested);
    why = expect(preempt, "+2 +3 +4 -4 -3 -2 +1 -1 ");
    if (why)
        return why;
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        u32 *rpr = running_priority[cpu];

        if (rpr[LOW] != 0x90 || rpr[MIDDLE] != 0x80 || rpr[HIGH] != 0x40 || rpr[LOWEST] != 0xb0)
            return fail("cpu %u: GICC_RPR was 0x%x 0x%x 0x%x 0x%x", cpu, rpr[LOW], rpr[MIDDLE], rpr[HIGH], rpr[LOWEST]);
    }
    if (mmio_read(GICC_RPR) != IDLE_PRIORITY)
        return fail("GICC_RPR is 0x%x when idle", mmio_read(GICC_RPR));
    why = expect(cut_between, "+1 +5 -5 -1 ");
    if (why)
        return why;
    return expect(cut_above, "+1 -1 +5 -5 ");
}
