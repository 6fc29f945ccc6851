/* What holds an interrupt back while it is pending or active; and that it is delivered afterwards, once. */
#include "suite.h"

const char *disabled_while_pending(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    REQUIRE(mmio_read(GICC_HPPIR) == SPI(0), "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    gic_set(GICD_ICENABLER, SPI(0));
    TRY(nothing("when it was disabled"));
    REQUIRE(is_pending(SPI(0)), "disabling has cleared it");
    gic_set(GICD_ISENABLER, SPI(0));
    TRY(take(SPI(0), "when it was enabled again"));
    return nothing("after it");
}

const char *disabled_while_active(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    gic_set(GICD_ICENABLER, SPI(0));
    REQUIRE(is_active(SPI(0)), "disabling has ended it");
    pend(SPI(0));
    gic_end(SPI(0));
    TRY(nothing("when it has ended, but is disabled"));
    REQUIRE(is_pending(SPI(0)) && !is_active(SPI(0)), "it is not just pending");
    gic_set(GICD_ISENABLER, SPI(0));
    TRY(take(SPI(0), "when it was enabled again"));
    return nothing("after it");
}

/* A level that was active when it was disabled: its end does not bring it again until it is enabled. */
const char *level_disabled_while_active(void)
{
    gic_level(UART_SPI, 1);
    enable(UART_SPI, 0x80);
    uart_raise();
    TRY(acknowledge(UART_SPI, "with the line high"));
    gic_set(GICD_ICENABLER, UART_SPI);
    gic_end(UART_SPI);
    TRY(nothing("when it has ended, but is disabled"));
    gic_set(GICD_ISENABLER, UART_SPI);
    TRY(acknowledge(UART_SPI, "when it was enabled again"));
    uart_lower();
    gic_end(UART_SPI);
    return nothing("after it");
}

static void disable_it(void) { gic_set(GICD_ICENABLER, SPI(0)); }
static void enable_it(void) { gic_set(GICD_ISENABLER, SPI(0)); }

const char *disabled_by_another_cpu(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    REQUIRE(mmio_read(GICC_HPPIR) == SPI(0), "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    run_on(other_cpu(), disable_it);
    TRY(nothing("when another CPU has disabled it"));
    run_on(other_cpu(), enable_it);
    TRY(take(SPI(0), "when another CPU has enabled it again"));
    return nothing("after it");
}

static void clear_it(void) { gic_set(GICD_ICPENDR, SPI(0)); }

const char *cleared_by_another_cpu(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    REQUIRE(mmio_read(GICC_HPPIR) == SPI(0), "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    run_on(other_cpu(), clear_it);
    TRY(nothing("when another CPU has written GICD_ICPENDR"));
    REQUIRE(!is_pending(SPI(0)), "still pending");
    return 0;
}

/* Another CPU's priority for it counts at once, too. */
static void raise_its_priority(void) { gic_priority(SPI(1), 0x40); }

const char *priority_changed_by_another_cpu(void)
{
    enable(SPI(0), 0x80);
    enable(SPI(1), 0xa0);
    pend(SPI(0));
    pend(SPI(1));
    REQUIRE(mmio_read(GICC_HPPIR) == SPI(0), "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    run_on(other_cpu(), raise_its_priority);
    TRY(take(SPI(1), "for what another CPU has raised above it"));
    return take(SPI(0), "after it");
}

static void distributor(u32 value) { mmio_write(GICD_CTLR, value); }

const char *distributor_off_when_pending(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    gic_sgi(TO_SELF, 0, 3);
    distributor(0);
    TRY(nothing("with the distributor off"));
    REQUIRE(is_pending(SPI(0)), "switching off has cleared it");
    distributor(CTLR_GROUP0 | CTLR_GROUP1);
    TRY(take(SPI(0), "with the distributor on again"));
    TRY(take(3, "with the distributor on again"));
    return nothing("after both");
}

const char *pending_when_distributor_off(void)
{
    gic_level(UART_SPI, 1);
    enable(UART_SPI, 0x40);
    enable(SPI(0), 0x80);
    distributor(0);
    pend(SPI(0));
    uart_raise();
    gic_sgi(TO_SELF, 0, 3);
    TRY(nothing("with the distributor off"));
    distributor(CTLR_GROUP0 | CTLR_GROUP1);
    TRY(acknowledge(UART_SPI, "with the distributor on"));
    uart_lower();
    gic_end(UART_SPI);
    TRY(take(SPI(0), "with the distributor on"));
    TRY(take(3, "with the distributor on"));
    return nothing("after all");
}

const char *active_when_distributor_off(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "for the first"));
    distributor(0);
    pend(SPI(0));
    REQUIRE(is_active(SPI(0)) && mmio_read(GICC_RPR) == 0x80, "switching off has ended it");
    gic_end(SPI(0));
    TRY(nothing("with the distributor off"));
    distributor(CTLR_GROUP0 | CTLR_GROUP1);
    TRY(take(SPI(0), "with the distributor on again"));
    return nothing("after it");
}

const char *cpu_interface_off(void)
{
    enable(SPI(0), 0x80);
    pend(SPI(0));
    mmio_write(GICC_CTLR, 0);
    TRY(nothing("with the CPU interface off"));
    REQUIRE(is_pending(SPI(0)), "switching off has cleared it");
    mmio_write(GICC_CTLR, CTLR_GROUP0);
    TRY(acknowledge(SPI(0), "with the CPU interface on again"));
    mmio_write(GICC_CTLR, 0);
    REQUIRE(is_active(SPI(0)) && mmio_read(GICC_RPR) == 0x80, "switching off has ended it");
    gic_end(SPI(0));
    REQUIRE(!is_active(SPI(0)), "it cannot end with the CPU interface off");
    mmio_write(GICC_CTLR, CTLR_GROUP0);
    return nothing("after it");
}

/* WFI ends when something is pending, masked or not; the physical timer wakes what nothing else does. */
const char *wfi_wakes(void)
{
    enable(VIRTUAL_TIMER, 0x80);
    enable(PHYSICAL_TIMER, 0x80);
    timer_arm(VIRTUAL_TIMER, counter() + frequency() / 10000);
    timer_arm(PHYSICAL_TIMER, read_sysreg(cntpct_el0) + frequency() / 10);
    while (mmio_read(GICC_HPPIR) == SPURIOUS)
        wfi();
    timer_stop(PHYSICAL_TIMER);
    TRY(acknowledge(VIRTUAL_TIMER, "after WFI"));
    timer_stop(VIRTUAL_TIMER);
    gic_end(VIRTUAL_TIMER);
    return nothing("after it");
}
