#include "suite.h"

struct log logs[MAX_CPUS];

void log_interrupt(void)
{
    struct log *log = &logs[cpu_id()];
    u32 iar = gic_acknowledge();

    if (iar == SPURIOUS) {
        log->spurious++;
        return;
    }
    if (log->count < LOG)
        log->iar[log->count] = iar;
    log->count++;
    gic_end(iar);
}

void log_clear(void)
{
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
        logs[cpu].count = logs[cpu].spurious = 0;
    dsb();
}

u32 log_total(void)
{
    u32 total = 0;

    for (unsigned cpu = 0; cpu < cpus; cpu++)
        total += logs[cpu].count;
    return total;
}

const char *acknowledge(u32 expected, const char *when)
{
    u32 iar = gic_acknowledge();

    return iar == expected ? 0 : fail("%s GICC_IAR reads 0x%x, not 0x%x", when, iar, expected);
}

const char *take(u32 expected, const char *when)
{
    const char *why = acknowledge(expected, when);

    if (!why)
        gic_end(expected);
    return why;
}

const char *nothing(const char *when)
{
    return acknowledge(SPURIOUS, when);
}

void enable(u32 intid, u8 priority)
{
    gic_priority(intid, priority);
    gic_set(GICD_ISENABLER, intid);
}

static int dots;

/* The console's own characters have raised the status before: it is cleared first. */
void uart_raise(void)
{
    mmio_write(UARTICR, UART_TX);
    mmio_write(UARTIMSC, UART_TX);
    put_char('.');
    dots = 1;
}

void end_line(void)
{
    if (dots)
        say("\n");
    dots = 0;
}

void uart_lower(void)
{
    mmio_write(UARTICR, UART_TX);
}

void timer_arm(u32 ppi, u64 when)
{
    if (ppi == VIRTUAL_TIMER) {
        write_sysreg(cntv_cval_el0, when);
        write_sysreg(cntv_ctl_el0, 1);
    } else {
        write_sysreg(cntp_cval_el0, when);
        write_sysreg(cntp_ctl_el0, 1);
    }
    isb();
}

void timer_stop(u32 ppi)
{
    if (ppi == VIRTUAL_TIMER)
        write_sysreg(cntv_ctl_el0, 0);
    else
        write_sysreg(cntp_ctl_el0, 0);
    isb();
}
