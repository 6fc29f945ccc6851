/* Software-generated interrupts: banked per target, and remembered per source. */
#include "scenario.h"

#define INBOX 32u

static struct {
    volatile u32 count;
    u32 iar[INBOX];
} inbox[MAX_CPUS];

static void on_sgi(void)
{
    unsigned cpu = cpu_id();
    u32 iar = gic_acknowledge();

    if (inbox[cpu].count < INBOX)
        inbox[cpu].iar[inbox[cpu].count] = iar;
    inbox[cpu].count++;
    gic_end(iar);
}

static void empty_inboxes(void)
{
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
        inbox[cpu].count = 0;
    dsb();
}

static const char *expect_one(unsigned cpu, unsigned source, u32 intid)
{
    if (!wait_for(inbox[cpu].count))
        return fail("SGI %u of cpu %u did not reach cpu %u", intid, source, cpu);
    if (inbox[cpu].count != 1)
        return fail("SGI %u of cpu %u was taken %u times by cpu %u", intid, source, inbox[cpu].count, cpu);
    if (inbox[cpu].iar[0] != (source << 10 | intid))
        return fail("SGI %u of cpu %u read as IAR 0x%x on cpu %u", intid, source, inbox[cpu].iar[0], cpu);
    return 0;
}

static void send_self(void) { gic_sgi(TO_SELF, 0, 1); }
static void send_others(void) { gic_sgi(TO_OTHERS, 0, 3); }
static void send_twice_to_first(void)
{
    gic_sgi(TO_LIST, 1, 4);
    gic_sgi(TO_LIST, 1, 4);
}

static volatile unsigned addressee;
static void send_to_addressee(void) { gic_sgi(TO_LIST, 1u << addressee, 2); }

static const char *to_self(void)
{
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        const char *why;

        empty_inboxes();
        run_on(cpu, send_self);
        why = expect_one(cpu, cpu, 1);
        if (why)
            return why;
    }
    return 0;
}

static const char *to_each(void)
{
    for (unsigned source = 0; source < cpus; source++)
        for (unsigned cpu = 0; cpu < cpus; cpu++) {
            const char *why;

            empty_inboxes();
            addressee = cpu;
            run_on(source, send_to_addressee);
            why = expect_one(cpu, source, 2);
            if (why)
                return why;
        }
    return 0;
}

static const char *to_others(void)
{
    for (unsigned source = 0; source < cpus; source++) {
        empty_inboxes();
        run_on(source, send_others);
        for (unsigned cpu = 0; cpu < cpus; cpu++) {
            const char *why;

            if (cpu == source)
                continue;
            why = expect_one(cpu, source, 3);
            if (why)
                return why;
        }
        settle();
        if (inbox[source].count)
            return fail("all-but-self reached its sender, cpu %u", source);
    }
    return 0;
}

/* Every CPU that can sends the same SGI twice to cpu 0, which looks only afterwards: once for each source. */
static const char *many_sources(void)
{
    u32 senders = cpus == 1 ? 1u : (1u << cpus) - 2, seen = 0, pending;

    empty_inboxes();
    irq_mask();
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        if (senders >> cpu & 1)
            run_on(cpu, send_twice_to_first);
    pending = gic_is_xen() ? senders : mmio_read8(GICD_SPENDSGIR + 4);
    irq_unmask();
    if (pending != senders)
        return fail("GICD_SPENDSGIR shows sources 0x%x, not 0x%x", pending, senders);
    wait_for(inbox[0].count >= (u32)(cpus == 1 ? 1 : cpus - 1));
    settle();
    say("   SGI 4 from cpus");
    for (unsigned n = 0; n < inbox[0].count && n < INBOX; n++) {
        u32 iar = inbox[0].iar[n];

        say(" %u", SOURCE(iar));
        if (INTID(iar) != 4)
            return fail("IAR 0x%x is not of SGI 4", iar);
        if (seen >> SOURCE(iar) & 1)
            return fail("cpu %u was seen twice as a source", SOURCE(iar));
        seen |= 1u << SOURCE(iar);
    }
    say("\n");
    if (seen != senders)
        return fail("the sources seen are 0x%x, not 0x%x", seen, senders);
    return 0;
}

const char *sgi(void)
{
    const char *why;

    handle_irqs_with(on_sgi);
    why = to_self();
    if (!why)
        why = to_each();
    if (!why)
        why = to_others();
    if (!why)
        why = many_sources();
    return why;
}
