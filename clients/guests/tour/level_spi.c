/* A level SPI: the UART's. Its line stays high from a transmitted character until the status is cleared in UARTICR. */
#include "scenario.h"

static volatile u32 taken[MAX_CPUS];
static volatile u32 strangers;
static volatile u32 clear_at;       /* the delivery whose handler clears the status */

static void on_transmit(void)
{
    unsigned cpu = cpu_id();
    u32 iar = gic_acknowledge();

    if (iar == UART_SPI) {
        if (++taken[cpu] >= clear_at)
            mmio_write(UARTICR, UART_TX);
    } else {
        strangers++;
        mmio_write(UARTIMSC, 0);
    }
    gic_end(iar);
}

/* One assertion of the line, cleared by the handler's `deliveries`th run on `cpu`. */
static const char *assert_once(unsigned cpu, u32 deliveries)
{
    u32 total = 0;
    int low;

    for (unsigned other = 0; other < MAX_CPUS; other++)
        taken[other] = 0;
    clear_at = deliveries;
    gic_target(UART_SPI, (u8)(1u << cpu));
    mmio_write(UARTICR, UART_TX);
    gic_set(GICD_ISENABLER, UART_SPI);
    mmio_write(UARTIMSC, UART_TX);
    mmio_write(UARTDR, '.');
    if (!wait_for(taken[cpu] >= deliveries))
        deliveries = ~0u;
    settle();                       /* a delivery too many would come now */
    low = !gic_test(GICD_ISPENDR, UART_SPI);
    mmio_write(UARTIMSC, 0);
    gic_set(GICD_ICENABLER, UART_SPI);

    for (unsigned other = 0; other < cpus; other++)
        total += taken[other];
    if (strangers)
        return fail("another interrupt than the UART's was taken");
    if (taken[cpu] != deliveries)
        return fail("cpu %u took it %u times before the status was cleared at %u", cpu, taken[cpu], clear_at);
    if (total != deliveries)
        return fail("taken by another CPU than the targeted %u", cpu);
    if (!low)
        return fail("still pending in GICD_ISPENDR with its line low");
    return 0;
}

/* The line rises and falls while the CPU looks away: a level leaves nothing behind. */
static const char *withdraw(void)
{
    int raised, fallen;

    taken[0] = 0;
    clear_at = 1;
    gic_target(UART_SPI, 1);
    irq_mask();
    mmio_write(UARTICR, UART_TX);
    gic_set(GICD_ISENABLER, UART_SPI);
    mmio_write(UARTIMSC, UART_TX);
    mmio_write(UARTDR, '.');
    raised = wait_for(gic_test(GICD_ISPENDR, UART_SPI));
    mmio_write(UARTICR, UART_TX);
    fallen = wait_for(!gic_test(GICD_ISPENDR, UART_SPI));
    irq_unmask();
    settle();
    mmio_write(UARTIMSC, 0);
    gic_set(GICD_ICENABLER, UART_SPI);
    if (!raised || !fallen)
        return fail("GICD_ISPENDR does not follow the line %s", raised ? "down" : "up");
    if (taken[0])
        return fail("a withdrawn assertion was delivered");
    return 0;
}

const char *level_spi(void)
{
    const char *why;

    strangers = 0;
    gic_level(UART_SPI, 1);
    handle_irqs_with(on_transmit);

    say("   one assertion, cleared by its first handler ");
    why = assert_once(0, 1);
    say("\n");
    if (why)
        return why;
    say("   one assertion, cleared by its third handler ");
    why = assert_once(0, 3);
    say("\n");
    if (why)
        return why;
    say("   one assertion, cleared before it is taken ");
    why = withdraw();
    say("\n");
    for (unsigned cpu = 1; !why && cpu < cpus; cpu++) {
        say("   twice on cpu %u ", cpu);
        why = assert_once(cpu, 2);
        say("\n");
    }
    return why;
}
