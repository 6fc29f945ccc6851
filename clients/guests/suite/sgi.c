/* Software-generated interrupts: banked for each CPU that gets one, and remembered for each that sent it. */
#include "suite.h"

static volatile u8 came[MAX_CPUS][MAX_CPUS][16];    /* at, from, number */
static volatile u32 taken[MAX_CPUS];
static volatile u32 strangers;

static void count_sgi(void)
{
    unsigned cpu = cpu_id();
    u32 iar = gic_acknowledge();

    if (INTID(iar) < 16 && !(iar & ~0x1fffu))
        came[cpu][SOURCE(iar)][INTID(iar)]++;
    else
        strangers++;
    taken[cpu]++;
    gic_end(iar);
}

static void send_all(void)
{
    for (u32 sgi = 0; sgi < 16; sgi++)
        gic_sgi(TO_LIST, everyone(), sgi);
}

const char *every_sgi_from_everyone_to_everyone(void)
{
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
        taken[cpu] = 0;
        for (unsigned n = 0; n < MAX_CPUS * 16; n++)
            came[cpu][n / 16][n % 16] = 0;
    }
    strangers = 0;
    handle_irqs_with(count_sgi);
    irq_unmask();
    for (unsigned source = 0; source < cpus; source++) {
        run_on(source, send_all);
        for (unsigned cpu = 0; cpu < cpus; cpu++)
            REQUIRE(soon(taken[cpu] >= (source + 1) * 16), "of 16 SGIs of cpu %u cpu %u took %u", source, cpu,
                    taken[cpu] - source * 16);
    }
    settle();
    irq_mask();
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        for (unsigned source = 0; source < cpus; source++)
            for (unsigned sgi = 0; sgi < 16; sgi++)
                REQUIRE(came[cpu][source][sgi] == 1, "SGI %u of cpu %u came %u times to cpu %u", sgi, source,
                        came[cpu][source][sgi], cpu);
    REQUIRE(!strangers, "%u interrupts came that are no SGIs", strangers);
    return 0;
}

static volatile u32 command;
static void write_command(void)
{
    dsb();
    mmio_write(GICD_SGIR, command);
}

/* `value` written to GICD_SGIR by `source` must bring SGI 7 to `targets`, and to nobody else. */
static const char *command_reaches(unsigned source, u32 value, u32 targets)
{
    log_clear();
    command = value;
    irq_unmask();
    run_on(source, write_command);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        if (targets >> cpu & 1)
            soon(logs[cpu].count);
    settle();
    irq_mask();
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        REQUIRE(logs[cpu].count == (targets >> cpu & 1), "0x%x of cpu %u came %u times to cpu %u", value, source,
                logs[cpu].count, cpu);
        REQUIRE(!(targets >> cpu & 1) || logs[cpu].iar[0] == (source << 10 | 7), "0x%x of cpu %u read as 0x%x", value,
                source, logs[cpu].iar[0]);
    }
    return 0;
}

const char *sgi_filters(void)
{
    handle_irqs_with(log_interrupt);
    REQUIRE(!mmio_read(GICD_SGIR), "GICD_SGIR reads 0x%x", mmio_read(GICD_SGIR));
    for (unsigned n = 0; n < 2; n++) {
        unsigned source = n ? other_cpu() : 0;
        u32 all = everyone();

        TRY(command_reaches(source, 0x00ff0007, all));                  /* a list; CPUs that there are not */
        TRY(command_reaches(source, 1u << 16 | 7, 1));
        TRY(command_reaches(source, 0x00000007, 0));                    /* an empty one */
        TRY(command_reaches(source, 0x01000007, all & ~(1u << source)));    /* all but self, whatever the list says */
        TRY(command_reaches(source, 0x01ff0007, all & ~(1u << source)));
        TRY(command_reaches(source, 0x02000007, 1u << source));         /* self */
        TRY(command_reaches(source, 0x02ff0007, 1u << source));
        if (!SKIPPED_ON_QEMU("sends for the reserved filter"))
            TRY(command_reaches(source, 0x03ff0007, 0));
        if (cpus == 1)
            break;
    }
    return 0;
}

static void send_two_kinds_twice(void)
{
    for (unsigned n = 0; n < 2; n++) {
        gic_sgi(TO_LIST, 1, 4);
        gic_sgi(TO_LIST, 1, 9);
    }
}

/* Every CPU sends two SGIs to cpu 0, each twice, before that takes any. */
const char *sgi_once_for_each_source(void)
{
    u32 sources[16] = { 0 };

    for (unsigned cpu = 0; cpu < cpus; cpu++)
        run_on(cpu, send_two_kinds_twice);
    for (unsigned n = 0; n < cpus * 2; n++) {
        u32 iar = gic_acknowledge(), sgi = INTID(iar), source = 1u << SOURCE(iar);

        REQUIRE(iar != SPURIOUS, "%u SGIs came of %u that were sent", n, cpus * 2);
        REQUIRE(sgi == 4 || sgi == 9, "GICC_IAR reads 0x%x", iar);
        REQUIRE(!(sources[sgi] & source), "SGI %u of cpu %u came twice", sgi, SOURCE(iar));
        sources[sgi] |= source;
        gic_end(iar);
    }
    REQUIRE(sources[4] == everyone() && sources[9] == everyone(), "SGI 4 came from 0x%x, SGI 9 from 0x%x", sources[4],
            sources[9]);
    return nothing("after the last of them");
}

static void send_three(void) { gic_sgi(TO_LIST, 1, 3); }

/* While SGI 3 of the last CPU is active, everyone sends it once more: each comes when that has ended. */
const char *sgi_while_active(void)
{
    u32 first = other_cpu() << 10 | 3, seen = 0;

    run_on(other_cpu(), send_three);
    TRY(acknowledge(first, "for the first"));
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        run_on(cpu, send_three);
    REQUIRE(mmio_read(GICD_ISPENDR) >> 3 & 1, "GICD_ISPENDR0 does not show what came while it was active");
    TRY(nothing("while the first is active"));
    gic_end(first);
    for (unsigned n = 0; n < cpus; n++) {
        u32 iar = gic_acknowledge();

        REQUIRE(INTID(iar) == 3 && !(seen >> SOURCE(iar) & 1), "GICC_IAR reads 0x%x after sources 0x%x", iar, seen);
        seen |= 1u << SOURCE(iar);
        gic_end(iar);
    }
    REQUIRE(!(mmio_read(GICD_ISACTIVER) >> 3 & 1), "SGI 3 stays active");
    return nothing("after the last of them");
}

/* GICD_SPENDSGIR and GICD_CPENDSGIR: a byte for each SGI, a bit for each CPU that may have sent it. */
const char *sgi_pending_registers(void)
{
    u32 last = 1u << other_cpu();
    struct answer answer = probe_read(GICD_SPENDSGIR + 5, 1);

    REQUIRE(!answer.refused, "a read of GICD_SPENDSGIR was refused");
    REQUIRE(!answer.value, "GICD_SPENDSGIR1 shows 0x%x when nothing was sent", answer.value);
    mmio_write8(GICD_SPENDSGIR + 5, (u8)(1 | last));
    REQUIRE(mmio_read8(GICD_CPENDSGIR + 5) == (1 | last), "GICD_CPENDSGIR1 shows 0x%x", mmio_read8(GICD_CPENDSGIR + 5));
    REQUIRE(mmio_read(GICD_SPENDSGIR + 4) == (1 | last) << 8, "GICD_SPENDSGIR1 is 0x%x", mmio_read(GICD_SPENDSGIR + 4));
    REQUIRE(mmio_read(GICD_ISPENDR) == 1u << 5, "GICD_ISPENDR0 is 0x%x", mmio_read(GICD_ISPENDR));
    mmio_write8(GICD_CPENDSGIR + 5, 1);
    if (last != 1)
        REQUIRE(mmio_read(GICD_ISPENDR) == 1u << 5, "SGI 5 is not pending with one source left");
    mmio_write(GICD_CPENDSGIR + 4, last << 8);
    REQUIRE(!mmio_read(GICD_ISPENDR), "GICD_ISPENDR0 is 0x%x with no source left", mmio_read(GICD_ISPENDR));
    TRY(nothing("with all sources cleared"));
    if (SKIPPED_ON_QEMU("a zero byte makes an SGI pending from nowhere"))
        mmio_write8(GICD_SPENDSGIR + 5, (u8)last);
    else
        mmio_write(GICD_SPENDSGIR + 4, last << 8);
    TRY(take(other_cpu() << 10 | 5, "for the source that was set"));
    return nothing("after it");
}

/* The pending bits of SGIs show, and do not set or clear. */
const char *sgi_pending_bits_are_read_only(void)
{
    int refused = probe_write(GICD_ISPENDR, 4, 1u << 8);
    u32 iar;

    REQUIRE(!refused, "a write of an SGI's bit in GICD_ISPENDR0 was refused");
    TRY(nothing("after GICD_ISPENDR0 was written"));
    gic_sgi(TO_SELF, 0, 8);
    mmio_write(GICD_ICPENDR, 1u << 8);
    iar = gic_acknowledge();
    gic_end(iar);
    if (iar == SPURIOUS) {          /* sent once more, lest its source stays behind */
        gic_sgi(TO_SELF, 0, 8);
        gic_end(gic_acknowledge());
    }
    REQUIRE(iar == 8, "GICC_IAR reads 0x%x: GICD_ICPENDR0 has cleared an SGI", iar);
    return 0;
}
