/* Level lines: the UART's, SPI 33, and the timers'. What counts is the line, not that it once rose. */
#include "suite.h"

#define LINE UART_SPI

static void enable_line(void)
{
    gic_level(LINE, 1);
    enable(LINE, 0x80);
}

const char *level_falls_before_acknowledge(void)
{
    enable_line();
    uart_raise();
    REQUIRE(mmio_read(GICC_HPPIR) == LINE, "GICC_HPPIR is 0x%x with the line high", mmio_read(GICC_HPPIR));
    uart_lower();
    TRY(nothing("when the line has fallen"));
    REQUIRE(!is_pending(LINE) && !is_active(LINE), "it is pending or active though nothing was acknowledged");
    uart_raise();
    TRY(acknowledge(LINE, "when the line has risen again"));
    uart_lower();
    gic_end(LINE);
    return nothing("after it");
}

static const char *timer_falls(u32 ppi)
{
    enable(ppi, 0x80);
    timer_arm(ppi, counter());
    REQUIRE(soon(mmio_read(GICC_HPPIR) == ppi), "PPI %u does not become pending", ppi);
    timer_stop(ppi);
    REQUIRE(gic_acknowledge() == SPURIOUS, "PPI %u is acknowledged when its line has fallen", ppi);
    REQUIRE(!is_pending(ppi) && !is_active(ppi), "PPI %u is pending or active", ppi);
    timer_arm(ppi, counter());
    REQUIRE(soon(is_pending(ppi)), "PPI %u does not become pending again", ppi);
    TRY(acknowledge(ppi, "for the timer"));
    timer_stop(ppi);
    gic_end(ppi);
    return nothing("after the timer");
}

const char *timer_falls_before_acknowledge(void)
{
    TRY(timer_falls(VIRTUAL_TIMER));
    return timer_falls(PHYSICAL_TIMER);
}

const char *level_stays_high(void)
{
    enable_line();
    uart_raise();
    for (u32 n = 0; n < 4; n++) {
        TRY(acknowledge(LINE, "with the line high"));
        TRY(nothing("while it is active"));
        REQUIRE(is_active(LINE) && is_pending(LINE), "with the line high it is not active and pending");
        gic_end(LINE);
    }
    uart_lower();
    return nothing("with the line low");
}

const char *level_falls_while_active(void)
{
    enable_line();
    uart_raise();
    TRY(acknowledge(LINE, "with the line high"));
    REQUIRE(is_pending(LINE), "GICD_ISPENDR does not show the line");
    uart_lower();
    gic_end(LINE);
    TRY(nothing("when the line fell while it was active"));
    uart_raise();
    TRY(acknowledge(LINE, "with the line high again"));
    uart_lower();
    uart_raise();
    gic_end(LINE);
    TRY(acknowledge(LINE, "when the line fell and rose while it was active"));
    uart_lower();
    gic_end(LINE);
    REQUIRE(!is_pending(LINE) && !is_active(LINE), "it is still pending or active");
    return nothing("after all");
}

const char *level_shows_its_line(void)
{
    enable_line();
    gic_set(GICD_ICENABLER, LINE);
    REQUIRE(!is_pending(LINE), "pending with the line low");
    uart_raise();
    REQUIRE(is_pending(LINE), "not pending with the line high");
    gic_set(GICD_ICPENDR, LINE);
    REQUIRE(is_pending(LINE), "GICD_ICPENDR clears what the line holds");
    TRY(nothing("while it is disabled"));
    gic_set(GICD_ISENABLER, LINE);
    TRY(acknowledge(LINE, "when it was enabled with the line high"));
    uart_lower();
    gic_end(LINE);
    return nothing("after it");
}

/* A level interrupt may be made pending by software, too: that lasts until the acknowledge, whatever the line. */
const char *level_pended_by_software(void)
{
    enable_line();
    pend(LINE);
    REQUIRE(is_pending(LINE), "GICD_ISPENDR does not make a level interrupt pending");
    gic_set(GICD_ICPENDR, LINE);
    TRY(nothing("after GICD_ICPENDR"));
    pend(LINE);
    TRY(acknowledge(LINE, "after GICD_ISPENDR"));
    REQUIRE(!is_pending(LINE), "the acknowledge leaves it pending");
    pend(LINE);
    gic_end(LINE);
    TRY(take(LINE, "for GICD_ISPENDR while it was active"));
    pend(LINE);
    uart_raise();
    uart_lower();
    TRY(take(LINE, "for GICD_ISPENDR, though the line rose and fell,"));
    return nothing("after all");
}

static void pend_line(void) { pend(LINE); }

const char *level_pended_by_another_cpu(void)
{
    enable_line();
    pend(LINE);
    TRY(acknowledge(LINE, "after GICD_ISPENDR"));
    run_on(other_cpu(), pend_line);
    gic_end(LINE);
    TRY(take(LINE, "for another CPU's GICD_ISPENDR while it was active"));
    return nothing("after all");
}

/* Handlers that leave the line high for their first runs, on each CPU in turn. */
static volatile u32 lower_at;

static void lower_in_time(void)
{
    struct log *log = &logs[cpu_id()];
    u32 iar = gic_acknowledge();

    if (iar != LINE)
        log->spurious++;
    else if (++log->count >= lower_at)
        uart_lower();
    gic_end(iar);
}

const char *level_once_for_each_assertion(void)
{
    gic_level(LINE, 1);
    handle_irqs_with(lower_in_time);
    irq_unmask();
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        log_clear();
        lower_at = cpu % 3 + 1;
        gic_target(LINE, only(cpu));
        gic_set(GICD_ISENABLER, LINE);
        uart_raise();
        soon(logs[cpu].count >= lower_at);
        settle();
        gic_set(GICD_ICENABLER, LINE);
        uart_lower();
        REQUIRE(logs[cpu].count == lower_at && log_total() == lower_at, "taken %u times by cpu %u, %u in all, not %u",
                logs[cpu].count, cpu, log_total(), lower_at);
        REQUIRE(!logs[cpu].spurious, "cpu %u was interrupted for nothing", cpu);
    }
    irq_mask();
    return 0;
}
