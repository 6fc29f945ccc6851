/* More interrupts than list registers: a guest must not notice that there are such. The numbers are beyond 16, which
 * is as many as an implementation usually has. */
#include "suite.h"

#define MANY 20u
#define NESTED 20u

/* A different priority for each of MANY, in no order of the numbers: 7 is prime to MANY. */
static u8 scattered(u32 n) { return (u8)(0x10 + n * 7 % MANY * 8); }
static u32 of_rank(u32 rank) { return SPI(rank * 3 % MANY); }      /* 3 * 7 is 1 modulo MANY */

const char *overflow_in_order_of_priority(void)
{
    for (u32 n = 0; n < MANY; n++)
        enable(SPI(n), scattered(n));
    for (u32 n = 0; n < MANY; n++)
        pend(SPI(n));
    for (u32 rank = 0; rank < MANY; rank++)
        TRY(take(of_rank(rank), "in order of priority"));
    TRY(nothing("after all"));
    REQUIRE(!mmio_read(GICD_ISPENDR + WORD1), "still pending: 0x%x", mmio_read(GICD_ISPENDR + WORD1));
    REQUIRE(!mmio_read(GICD_ISACTIVER + WORD1), "still active: 0x%x", mmio_read(GICD_ISACTIVER + WORD1));
    return 0;
}

const char *overflow_late_arrival(void)
{
    for (u32 n = 0; n < MANY; n++)
        enable(SPI(n), n == MANY - 1 ? 0x20 : 0xa0);
    mmio_write(GICD_ISPENDR + WORD1, SPI_BIT(MANY - 1) - SPI_BIT(0));
    REQUIRE(mmio_read(GICC_HPPIR) != SPURIOUS, "GICC_HPPIR shows nothing of %u", MANY - 1);
    pend(SPI(MANY - 1));
    TRY(take(SPI(MANY - 1), "for the highest, which came last,"));
    for (u32 n = 0; n < MANY - 1; n++) {
        u32 iar = gic_acknowledge();

        REQUIRE(iar != SPURIOUS, "%u of %u came", n, MANY - 1);
        gic_end(iar);
    }
    TRY(nothing("after all"));
    return 0;
}

/* Each preempts the one before; then they end in reverse, and each can come again. */
const char *overflow_nested(void)
{
    for (u32 n = 0; n < NESTED; n++) {
        enable(SPI(n), (u8)(0xc0 - n * 8));
        pend(SPI(n));
        TRY(acknowledge(SPI(n), "for each that preempts"));
        REQUIRE(mmio_read(GICC_RPR) == 0xc0 - n * 8, "GICC_RPR is 0x%x at depth %u", mmio_read(GICC_RPR), n);
    }
    for (u32 n = NESTED; n--; ) {
        REQUIRE(mmio_read(GICC_RPR) == 0xc0 - n * 8, "GICC_RPR is 0x%x back at depth %u", mmio_read(GICC_RPR), n);
        gic_end(SPI(n));
    }
    REQUIRE(!mmio_read(GICD_ISACTIVER + WORD1), "still active: 0x%x", mmio_read(GICD_ISACTIVER + WORD1));
    for (u32 n = 0; n < NESTED; n++) {
        pend(SPI(n));
        TRY(take(SPI(n), "a second time"));
    }
    return nothing("after all");
}

/* The same while each that runs has become pending once more. */
const char *overflow_nested_and_pending(void)
{
    for (u32 n = 0; n < NESTED; n++) {
        enable(SPI(n), (u8)(0xc0 - n * 8));
        pend(SPI(n));
        TRY(acknowledge(SPI(n), "for each that preempts"));
        pend(SPI(n));
    }
    for (u32 n = NESTED; n--; ) {
        gic_end(SPI(n));
        TRY(take(SPI(n), "once more, when it has ended,"));
    }
    return nothing("after all");
}

/* What is disabled must not be in the way of what is not, however high its priority. */
const char *overflow_disabled_in_the_way(void)
{
    for (u32 n = 0; n < MANY; n++)
        enable(SPI(n), (u8)(0x10 + n * 8));
    mmio_write(GICD_ISPENDR + WORD1, SPI_BIT(MANY - 1) - SPI_BIT(0));
    mmio_write(GICD_ICENABLER + WORD1, SPI_BIT(MANY - 1) - SPI_BIT(0));
    pend(SPI(MANY - 1));
    TRY(take(SPI(MANY - 1), "for the one that is enabled"));
    TRY(nothing("with the rest disabled"));
    mmio_write(GICD_ISENABLER + WORD1, SPI_BIT(MANY - 1) - SPI_BIT(0));
    for (u32 n = 0; n < MANY - 1; n++)
        TRY(take(SPI(n), "after the rest was enabled"));
    return nothing("after all");
}

/* Handlers that make their own interrupt pending again, on all CPUs at once. */
#define LIVES 3u
static volatile u32 lives[SPIS];
static volatile u32 strangers;

static void come_again(void)
{
    u32 iar = gic_acknowledge(), n = iar - SPI(0);

    if (n >= SPIS) {
        strangers += iar != SPURIOUS;
    } else {
        if (++lives[n] < LIVES)
            pend(iar);
        logs[cpu_id()].count++;
    }
    gic_end(iar);
}

const char *storm_on_all_cpus(void)
{
    strangers = 0;
    handle_irqs_with(come_again);
    for (u32 n = 0; n < SPIS; n++) {
        lives[n] = 0;
        gic_target(SPI(n), only(n % cpus));
    }
    irq_unmask();
    mmio_write(GICD_ISENABLER + WORD1, ~3u);
    mmio_write(GICD_ISPENDR + WORD1, ~3u);
    soon(log_total() >= SPIS * LIVES);
    settle();
    irq_mask();
    for (u32 n = 0; n < SPIS; n++)
        REQUIRE(lives[n] == LIVES, "SPI %u came %u times of %u", SPI(n), lives[n], LIVES);
    REQUIRE(!strangers, "%u other interrupts came", strangers);
    return 0;
}

/* A ring: each CPU passes the SGI that it gets on to the next. Eight go round at once. */
#define TOKENS 8u
#define HOPS 12u
static volatile u32 hops[TOKENS];

static void pass_on(void)
{
    u32 iar = gic_acknowledge(), token = INTID(iar), from = (cpu_id() + cpus - 1) % cpus;

    if (token >= TOKENS || SOURCE(iar) != from)
        strangers += iar != SPURIOUS;
    else if (++hops[token] < HOPS)
        gic_sgi(TO_LIST, 1u << (cpu_id() + 1) % cpus, token);
    gic_end(iar);
}

static u32 all_hops(void)
{
    u32 sum = 0;

    for (u32 token = 0; token < TOKENS; token++)
        sum += hops[token];
    return sum;
}

static void begin_ring(void)
{
    for (u32 token = 0; token < TOKENS; token++)
        gic_sgi(TO_LIST, 1, token);
}

const char *ring_of_sgis(void)
{
    strangers = 0;
    for (u32 token = 0; token < TOKENS; token++)
        hops[token] = 0;
    handle_irqs_with(pass_on);
    irq_unmask();
    run_on(other_cpu(), begin_ring);
    soon(all_hops() >= TOKENS * HOPS);
    settle();
    irq_mask();
    for (u32 token = 0; token < TOKENS; token++)
        REQUIRE(hops[token] == HOPS, "SGI %u went %u hops of %u", token, hops[token], HOPS);
    REQUIRE(!strangers, "%u SGIs came from where they were not sent", strangers);
    return 0;
}
