/* PSCI: a CPU that is switched off, what is meant for it meanwhile, and what it finds when it comes again. */
#include "suite.h"

static volatile u32 priority_there, enabled_there, timer_there;

static void mark(void)
{
    gic_priority(20, 0x40);
    gic_set(GICD_ISENABLER, 20);
}

static void look(void)
{
    priority_there = mmio_read8(GICD_IPRIORITYR + 20);
    enabled_there = mmio_read(GICD_ISENABLER);
    timer_there = (u32)(read_sysreg(cntv_ctl_el0) | read_sysreg(cntp_ctl_el0)) & 1;
}

static void set_up_interface(void)
{
    mmio_write(GICC_PMR, 0xf8);
    mmio_write(GICC_CTLR, CTLR_GROUP0);
}

const char *cpu_comes_again(void)
{
    unsigned cpu = other_cpu();

    if (!cpu)
        return 0;
    handle_irqs_with(log_interrupt);
    mark();
    run_on(cpu, mark);
    TRY(switch_off(cpu));
    REQUIRE(mmio_read8(GICD_IPRIORITYR + 20) == 0x40 && mmio_read(GICD_ISENABLER) >> 20 & 1,
            "cpu 0 has lost what is banked for it");
    TRY(switch_on(cpu));
    REQUIRE((long)psci(PSCI_CPU_ON, cpu, 0, 0) == PSCI_ALREADY_ON, "cpu %u can be switched on though it is on", cpu);
    run_on(cpu, look);
    REQUIRE((priority_there == 0x40 && enabled_there >> 20 & 1) || (!priority_there && !(enabled_there >> 20 & 1)),
            "cpu %u finds priority 0x%x and GICD_ISENABLER0 0x%x", cpu, priority_there, enabled_there);
    REQUIRE(!timer_there, "a timer of cpu %u runs when it comes again", cpu);
    run_on(cpu, set_up_interface);
    gic_sgi(TO_LIST, 1u << cpu, 6);
    REQUIRE(soon(logs[cpu].count) && logs[cpu].iar[0] == 6, "cpu %u takes no SGI any more", cpu);
    return 0;
}

/* An SPI for a CPU that is off is not lost: it waits until another target is named. */
const char *spi_for_a_cpu_that_is_off(void)
{
    unsigned cpu = other_cpu();
    const char *why;

    if (!cpu || SKIPPED_ON_QEMU("a pending SPI stays where it was"))
        return 0;
    handle_irqs_with(log_interrupt);
    enable(SPI(0), 0x80);
    gic_target(SPI(0), only(cpu));
    TRY(switch_off(cpu));
    pend(SPI(0));
    settle();
    why = nothing("on another CPU than the target");
    gic_target(SPI(0), 1);
    if (!why)
        why = take(SPI(0), "with a target that is on");
    if (!why)
        why = nothing("after it");
    if (why) {
        switch_on(cpu);
        return why;
    }
    return switch_on(cpu);
}

/* SGIs for a CPU that is off: it finds them when it comes again, or they are gone; none comes twice. */
const char *sgi_for_a_cpu_that_is_off(void)
{
    unsigned cpu = other_cpu();

    if (!cpu)
        return 0;
    handle_irqs_with(log_interrupt);
    TRY(switch_off(cpu));
    gic_sgi(TO_LIST, 1u << cpu, 6);
    gic_sgi(TO_LIST, 1u << cpu, 6);
    TRY(switch_on(cpu));
    run_on(cpu, set_up_interface);
    settle();
    REQUIRE(logs[cpu].count <= 1, "cpu %u took %u SGIs", cpu, logs[cpu].count);
    say("   the SGI was %s\n", logs[cpu].count ? "kept" : "dropped");
    gic_sgi(TO_LIST, 1u << cpu, 7);
    soon(logs[cpu].count && logs[cpu].iar[logs[cpu].count - 1] == 7);
    settle();
    REQUIRE(logs[cpu].count && logs[cpu].count <= 2 && logs[cpu].iar[logs[cpu].count - 1] == 7,
            "cpu %u took %u SGIs in all", cpu, logs[cpu].count);
    return 0;
}
