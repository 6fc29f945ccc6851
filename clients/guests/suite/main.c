#include "suite.h"

#define HERE(name, function, sentence) scenario function;
#define EVERYWHERE HERE
#include "scenarios.def"
#undef HERE
#undef EVERYWHERE

static const struct {
    const char *name, *sentence;
    scenario *run;
    int everywhere;
} SCENARIOS[] = {
#define HERE(name, function, sentence) { name, sentence, function, 0 },
#define EVERYWHERE(name, function, sentence) { name, sentence, function, 1 },
#include "scenarios.def"
};

#define STORM 3000u             /* interrupts of a CPU; no scenario has a tenth of that */
static int all_dirty = 1;

static int run(unsigned index)
{
    const char *why = clean(all_dirty);

    say("-- %s: %s\n", SCENARIOS[index].name, SCENARIOS[index].sentence);
    if (!why)
        why = SCENARIOS[index].run();
    if (cpus_in_a_storm())
        why = fail("CPUs 0x%x are interrupted without end", cpus_in_a_storm());
    irq_mask();
    end_line();
    all_dirty = why || SCENARIOS[index].everywhere;
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
    interrupt_limit = STORM;
    handle_irqs_with(0);
    say("A suite for the GIC: GICD_TYPER 0x%x, GICD_IIDR 0x%x, GICC_IIDR 0x%x\n",
        mmio_read(GICD_TYPER), mmio_read(GICD_IIDR), mmio_read(GICC_IIDR));
    why = gic_lines() < 64 ? fail("32 SPIs are needed, there are %u interrupt lines", gic_lines()) : start_cpus();
    if (why) {
        say("FAIL start: %s\n", why);
        power_off(1);
    }
    say("%u CPUs, %u interrupt lines\n", cpus, gic_lines());
    for (unsigned index = 0; index < count; index++)
        passed += (unsigned)run(index);
    say("%u of %u scenarios passed\n", passed, count);
    power_off(passed == count ? 0 : 1);
}
