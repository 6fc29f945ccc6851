/* GICD_ITARGETSR: an SPI goes to the CPU that it names, also when it was pending before it was moved. */
#include "scenario.h"

#define SPI 50u

static volatile u32 taken[MAX_CPUS];
static volatile u32 strangers;

static void on_spi(void)
{
    u32 iar = gic_acknowledge();

    if (iar == SPI)
        taken[cpu_id()]++;
    else
        strangers++;
    gic_end(iar);
}

static const char *expect_on(unsigned cpu)
{
    int came = wait_for(taken[cpu]);

    settle();
    for (unsigned other = 0; other < cpus; other++)
        if (taken[other] != (other == cpu))
            return fail("targeted at cpu %u, taken %u times by cpu %u", cpu, taken[other], other);
    if (!came || strangers)
        return fail("cpu %u took %u other interrupts", cpu, strangers);
    taken[cpu] = 0;
    return 0;
}

const char *spi_targets(void)
{
    const char *why = 0;

    strangers = 0;
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
        taken[cpu] = 0;
    handle_irqs_with(on_spi);
    gic_set(GICD_ISENABLER, SPI);
    for (unsigned cpu = 0; !why && cpu < cpus; cpu++) {
        gic_target(SPI, (u8)(1u << cpu));
        gic_set(GICD_ISPENDR, SPI);
        why = expect_on(cpu);
    }
    if (!why && gic_is_qemu()) {
        say("   QEMU: not moved while pending\n");
        return 0;
    }
    for (unsigned cpu = 1; !why && cpu < cpus; cpu++) {
        gic_target(SPI, 1);
        irq_mask();
        gic_set(GICD_ISPENDR, SPI);
        settle();
        gic_target(SPI, (u8)(1u << cpu));
        why = expect_on(cpu);
        irq_unmask();
    }
    if (!why)
        say("   each of %u CPUs took it when targeted\n", cpus);
    return why;
}
