/* GICD_ITARGETSR: an SPI goes where it says, from the moment that it is written. */
#include "suite.h"

static const char *came_to(unsigned cpu, u32 intid, const char *when)
{
    int came = soon(logs[cpu].count);

    settle();
    REQUIRE(came, "%s %u does not come to cpu %u", when, intid, cpu);
    for (unsigned other = 0; other < cpus; other++)
        REQUIRE(logs[other].count == (other == cpu), "%s %u came %u times to cpu %u", when, intid, logs[other].count,
                other);
    REQUIRE(logs[cpu].iar[0] == intid, "%s cpu %u took 0x%x", when, cpu, logs[cpu].iar[0]);
    log_clear();
    return 0;
}

const char *spi_goes_to_its_target(void)
{
    handle_irqs_with(log_interrupt);
    enable(SPI(0), 0x80);
    irq_unmask();
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        gic_target(SPI(0), only(cpu));
        pend(SPI(0));
        TRY(came_to(cpu, SPI(0), "targeted"));
    }
    return 0;
}

const char *edge_moves_while_pending(void)
{
    if (SKIPPED_ON_QEMU("a pending SPI stays where it was"))
        return 0;
    handle_irqs_with(log_interrupt);
    enable(SPI(0), 0x80);
    for (unsigned cpu = 1; cpu < cpus; cpu++) {
        gic_target(SPI(0), 1);
        pend(SPI(0));
        REQUIRE(mmio_read(GICC_HPPIR) == SPI(0), "GICC_HPPIR is 0x%x before the move", mmio_read(GICC_HPPIR));
        gic_target(SPI(0), only(cpu));
        TRY(nothing("after the move"));
        TRY(came_to(cpu, SPI(0), "moved,"));
    }
    return 0;
}

static void uart_off(void)
{
    u32 iar = gic_acknowledge();

    uart_lower();
    logs[cpu_id()].iar[0] = iar;
    logs[cpu_id()].count++;
    gic_end(iar);
}

const char *level_moves_while_pending(void)
{
    if (SKIPPED_ON_QEMU("a pending SPI stays where it was"))
        return 0;
    handle_irqs_with(uart_off);
    gic_level(UART_SPI, 1);
    enable(UART_SPI, 0x80);
    for (unsigned cpu = 1; cpu < cpus; cpu++) {
        gic_target(UART_SPI, 1);
        uart_raise();
        REQUIRE(mmio_read(GICC_HPPIR) == UART_SPI, "GICC_HPPIR is 0x%x before the move", mmio_read(GICC_HPPIR));
        gic_target(UART_SPI, only(cpu));
        TRY(nothing("after the move"));
        TRY(came_to(cpu, UART_SPI, "moved,"));
    }
    return 0;
}

/* What is active stays with the CPU that took it; its next instance goes to the new target. */
const char *active_does_not_move(void)
{
    unsigned to = other_cpu();

    if (SKIPPED_ON_QEMU("an SPI is active per CPU"))
        return 0;
    handle_irqs_with(log_interrupt);
    enable(SPI(0), 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "on cpu 0"));
    gic_target(SPI(0), only(to));
    REQUIRE(is_active(SPI(0)), "a new target ends it");
    pend(SPI(0));
    settle();
    REQUIRE(!log_total(), "it came to its new target while it is active");
    gic_end(SPI(0));
    if (!to)
        return take(SPI(0), "once more");
    TRY(came_to(to, SPI(0), "active on cpu 0 before,"));
    return nothing("after all");
}

/* A list of targets: one of them takes it (the 1-N model), the others may find 1023. */
const char *one_of_many_targets(void)
{
    if (SKIPPED_ON_QEMU("all targets take it"))
        return 0;
    handle_irqs_with(log_interrupt);
    enable(SPI(0), 0x80);
    gic_target(SPI(0), everyone());
    irq_unmask();
    for (u32 n = 1; n <= 8; n++) {
        pend(SPI(0));
        soon(log_total() >= n);
        settle();
        REQUIRE(log_total() == n, "pending %u times, taken %u times", n, log_total());
    }
    irq_mask();
    REQUIRE(!is_pending(SPI(0)) && !is_active(SPI(0)), "still pending or active");
    return 0;
}

/* An SPI that has no target waits for one. With a single CPU the target may be fixed. */
const char *target_comes_late(void)
{
    if (SKIPPED_ON_QEMU("an SPI without target is forgotten"))
        return 0;
    handle_irqs_with(log_interrupt);
    enable(SPI(0), 0x80);
    gic_target(SPI(0), 0);
    pend(SPI(0));
    settle();
    REQUIRE(is_pending(SPI(0)), "not pending without a target");
    if (cpus > 1)
        TRY(nothing("without a target"));
    gic_target(SPI(0), only(other_cpu()));
    if (cpus == 1)
        return take(SPI(0), "with a target");
    TRY(came_to(other_cpu(), SPI(0), "with a target at last"));
    return 0;
}

/* More than list registers, pending on one CPU, are moved to another, which takes all of them. */
#define MOVED 20u

const char *many_move_at_once(void)
{
    unsigned to = other_cpu();

    if (cpus == 1 || SKIPPED_ON_QEMU("a pending SPI stays where it was"))
        return 0;
    handle_irqs_with(log_interrupt);
    for (u32 n = 0; n < MOVED; n++)
        enable(SPI(n), 0x80);
    mmio_write(GICD_ISPENDR + WORD1, SPI_BIT(MOVED) - SPI_BIT(0));
    for (u32 n = 0; n < MOVED; n++)
        gic_target(SPI(n), only(to));
    soon(logs[to].count >= MOVED);
    settle();
    REQUIRE(logs[to].count == MOVED, "cpu %u took %u of %u", to, logs[to].count, MOVED);
    for (u32 n = 0, seen = 0; n < MOVED; n++) {
        u32 bit = 1u << (logs[to].iar[n] - SPI(0));

        REQUIRE(!(seen & bit), "%u came twice", logs[to].iar[n]);
        seen |= bit;
    }
    return nothing("on cpu 0");
}

/* Each handler sends its own interrupt on to the next CPU. */
#define LAPS 3u
static volatile u32 rounds, lost_its_way;

static void send_on(void)
{
    unsigned cpu = cpu_id(), to = (cpu + 1) % cpus;
    u32 iar = gic_acknowledge();

    if (iar == SPURIOUS)
        return;
    lost_its_way += iar != SPI(0) || rounds % cpus != cpu;
    if (++rounds < cpus * LAPS) {
        gic_target(SPI(0), only(to));
        pend(SPI(0));
    }
    gic_end(iar);
    mmio_read(GICD_CTLR);           /* of no effect; but a hypervisor that has no other reason to look, looks now */
}

const char *round_trip(void)
{
    if (SKIPPED_ON_QEMU("an SPI is active per CPU"))
        return 0;
    rounds = lost_its_way = 0;
    handle_irqs_with(send_on);
    enable(SPI(0), 0x80);
    irq_unmask();
    pend(SPI(0));
    soon(rounds >= cpus * LAPS);
    settle();
    irq_mask();
    REQUIRE(rounds == cpus * LAPS, "it came %u times of %u", rounds, cpus * LAPS);
    REQUIRE(!lost_its_way, "%u times to the wrong CPU", lost_its_way);
    return 0;
}
