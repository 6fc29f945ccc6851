#include "scenario.h"

static const struct {
    const char *name;
    scenario *run;
} SCENARIOS[] = {
    { "timer-ppi", timer_ppi },
    { "level-spi", level_spi },
    { "sgi", sgi },
    { "nested-priorities", nested_priorities },
    { "eoimode1", eoimode1 },
    { "masking", masking },
    { "spi-targets", spi_targets },
    { "fiq-groups", fiq_groups },
};

struct trace traces[MAX_CPUS];

void trace_clear(void)
{
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
        traces[cpu].length = 0;
        traces[cpu].text[0] = 0;
    }
}

void note(char what, u32 number)
{
    struct trace *trace = &traces[cpu_id()];

    if (trace->length + 4 > sizeof trace->text)
        return;
    trace->text[trace->length++] = what;
    trace->text[trace->length++] = (char)('0' + number % 10);
    trace->text[trace->length++] = ' ';
    trace->text[trace->length] = 0;
}

int trace_is(unsigned cpu, const char *expected)
{
    const char *got = traces[cpu].text;

    while (*got && *got == *expected)
        got++, expected++;
    return *got == *expected;
}

static void swallow(void)
{
    u32 iar = gic_acknowledge();

    gic_end(iar);
    gic_deactivate(iar);        /* for one that came in EOImode 1; ignored otherwise */
}

/* A known state, also after a scenario that failed halfway and left interrupts under way. */
static void start_afresh(void)
{
    handle_irqs_with(swallow);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        on_fiq[cpu] = swallow;
    gic_reset_distributor();
    run_everywhere(gic_reset_cpu);
    irq_unmask();
    settle();
    irq_mask();
    handle_irqs_with(0);
    trace_clear();
}

static int run(unsigned index)
{
    const char *why;

    irq_mask();
    start_afresh();
    irq_unmask();

    say("-- %s\n", SCENARIOS[index].name);
    why = SCENARIOS[index].run();
    irq_mask();
    if (why)
        say("FAIL %s: %s\n", SCENARIOS[index].name, why);
    else
        say("PASS %s\n", SCENARIOS[index].name);
    return why == 0;
}

void first_main(void)
{
    const unsigned count = sizeof SCENARIOS / sizeof *SCENARIOS;
    unsigned passed = 0;
    const char *why;

    mmio_write(UARTIMSC, 0);
    handle_irqs_with(0);
    say("A tour of the GIC: GICD_TYPER 0x%x, GICD_IIDR 0x%x, GICC_IIDR 0x%x\n",
        mmio_read(GICD_TYPER), mmio_read(GICD_IIDR), mmio_read(GICC_IIDR));
    why = start_cpus();
    if (why) {
        say("FAIL start: %s\n", why);
        power_off(1);
    }
    say("%u CPUs, %u interrupt lines\n", cpus, gic_lines());
    for (unsigned index = 0; index < count; index++)
        passed += (unsigned)run(index);
    still_life();
    say("%u of %u scenarios passed\n", passed, count);
    power_off(passed == count ? 0 : 1);
}
