/* What keeps a pending interrupt from the CPU, and that it is not lost meanwhile. */
#include "scenario.h"

#define SPI 44u

static volatile u32 taken;
static u32 last;

static void on_any(void)
{
    last = gic_acknowledge();
    taken++;
    gic_end(last);
}

static const char *held_by(const char *what, void (*hold)(void), void (*release)(void))
{
    u32 spurious;

    taken = 0;
    hold();
    gic_set(GICD_ISPENDR, SPI);
    settle();
    spurious = gic_acknowledge();
    if (taken || spurious != SPURIOUS)
        return fail("delivered in spite of %s (IAR 0x%x)", what, taken ? last : spurious);
    if (!gic_test(GICD_ISPENDR, SPI))
        return fail("not pending in GICD_ISPENDR under %s", what);
    release();
    if (!wait_for(taken) || last != SPI)
        return fail("lost by %s", what);
    settle();
    if (taken != 1)
        return fail("delivered %u times after %s", taken, what);
    if (gic_acknowledge() != SPURIOUS)
        return fail("IAR is not 1023 when nothing is pending");
    say("   %s: held, then delivered once\n", what);
    return 0;
}

static void mask_priority(void) { mmio_write(GICC_PMR, DEFAULT_PRIORITY); }
static void unmask_priority(void) { mmio_write(GICC_PMR, DEFAULT_PRIORITY + 8); }
static void disable_line(void) { gic_set(GICD_ICENABLER, SPI); }
static void enable_line(void) { gic_set(GICD_ISENABLER, SPI); }
static void disable_distributor(void) { mmio_write(GICD_CTLR, 0); }
static void enable_distributor(void) { mmio_write(GICD_CTLR, CTLR_GROUP0 | CTLR_GROUP1); }
static void disable_interface(void) { mmio_write(GICC_CTLR, 0); }
static void enable_interface(void) { mmio_write(GICC_CTLR, CTLR_GROUP0); }

const char *masking(void)
{
    const char *why;

    handle_irqs_with(on_any);
    enable_line();
    why = held_by("GICC_PMR at its priority", mask_priority, unmask_priority);
    if (!why)
        why = held_by("GICD_ICENABLER", disable_line, enable_line);
    if (!why)
        why = held_by("GICD_CTLR 0", disable_distributor, enable_distributor);
    if (!why)
        why = held_by("GICC_CTLR 0", disable_interface, enable_interface);
    return why;
}
