/* The CPU interface's registers, and what is banked: each CPU has its own. */
#include "suite.h"

const char *cpu_interface_registers(void)
{
    u32 iidr = mmio_read(GICC_IIDR), value;

    REQUIRE((iidr & 0xf0fff) == 0x2043b, "GICC_IIDR is 0x%x: not a GICv2 of ARM", iidr);
    mmio_write(GICC_IIDR, ~iidr);
    REQUIRE(mmio_read(GICC_IIDR) == iidr, "GICC_IIDR can be written");
    mmio_write(GICC_CTLR, ~0u);
    value = mmio_read(GICC_CTLR);
    mmio_write(GICC_CTLR, CTLR_GROUP0);
    REQUIRE((value & 0x21f) == 0x21f && !(value & ~0x7ffu), "GICC_CTLR keeps 0x%x", value);
    mmio_write(GICC_PMR, 0xff);
    value = mmio_read(GICC_PMR);
    REQUIRE(value >= 0xf0 && value <= 0xff, "GICC_PMR keeps 0x%x of 0xff", value);
    mmio_write(GICC_PMR, 0x57);
    REQUIRE(mmio_read(GICC_PMR) == (0x57 & value), "GICC_PMR is 0x%x", mmio_read(GICC_PMR));
    for (u32 n = 0; n < 8; n++) {
        mmio_write(GICC_BPR, n);
        value = mmio_read(GICC_BPR);
        REQUIRE(value == n || (n < value && value <= 3), "GICC_BPR is %u, not %u", value, n);
        mmio_write(GICC_ABPR, n);
        value = mmio_read(GICC_ABPR);
        REQUIRE(value == n || (n < value && value <= 4), "GICC_ABPR is %u, not %u", value, n);
    }
    mmio_write(GICC_RPR, 0);
    mmio_write(GICC_HPPIR, 0);
    mmio_write(GICC_IAR, 0);
    REQUIRE(mmio_read(GICC_RPR) == IDLE_PRIORITY, "GICC_RPR is 0x%x when idle", mmio_read(GICC_RPR));
    return 0;
}

const char *nothing_pending_reads_1023(void)
{
    static const u64 REGISTERS[] = { GICC_IAR, GICC_HPPIR, GICC_AIAR, GICC_AHPPIR };

    for (unsigned n = 0; n < sizeof REGISTERS / sizeof *REGISTERS; n++) {
        if (n > 1 && SKIPPED_ON_QEMU("has no registers for group 1"))
            break;
        REQUIRE(mmio_read(REGISTERS[n]) == SPURIOUS, "0x%x reads 0x%x", (u32)REGISTERS[n], mmio_read(REGISTERS[n]));
    }
    gic_end(SPURIOUS);
    gic_deactivate(SPURIOUS);
    gic_sgi(TO_SELF, 0, 2);
    TRY(acknowledge(2, "after the end of 1023"));
    gic_end(SPURIOUS);
    gic_end(OTHER_GROUP);
    REQUIRE(mmio_read(GICC_RPR) == DEFAULT_PRIORITY, "the end of 1023 dropped the running priority");
    gic_end(2);
    REQUIRE(mmio_read(GICC_RPR) == IDLE_PRIORITY, "GICC_RPR is 0x%x after the end", mmio_read(GICC_RPR));
    return 0;
}

/* GICC_HPPIR tells what would be next, GICC_RPR what is running; neither changes anything. */
const char *highest_pending_and_running(void)
{
    enable(SPI(0), 0x60);
    gic_priority(3, 0x90);
    REQUIRE(mmio_read(GICC_HPPIR) == SPURIOUS, "GICC_HPPIR is 0x%x when idle", mmio_read(GICC_HPPIR));
    gic_sgi(TO_SELF, 0, 3);
    REQUIRE(mmio_read(GICC_HPPIR) == 3 && mmio_read(GICC_HPPIR) == 3, "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    TRY(acknowledge(3, "of the SGI"));
    REQUIRE(mmio_read(GICC_RPR) == 0x90, "GICC_RPR is 0x%x, not 0x90", mmio_read(GICC_RPR));
    REQUIRE(mmio_read(GICC_HPPIR) == SPURIOUS, "what is active counts as pending");
    pend(SPI(0));
    REQUIRE(mmio_read(GICC_HPPIR) == SPI(0), "GICC_HPPIR is 0x%x", mmio_read(GICC_HPPIR));
    TRY(acknowledge(SPI(0), "of what preempts"));
    REQUIRE(mmio_read(GICC_RPR) == 0x60, "GICC_RPR is 0x%x, not 0x60", mmio_read(GICC_RPR));
    gic_end(SPI(0));
    REQUIRE(mmio_read(GICC_RPR) == 0x90, "GICC_RPR is 0x%x again, not 0x90", mmio_read(GICC_RPR));
    gic_end(3);
    return 0;
}

/* One bit for each group priority that runs; a hypervisor saves and restores them here. */
const char *active_priorities(void)
{
    if (SKIPPED_ON_QEMU("has another format of GICC_APR"))
        return 0;
    gic_priority(3, 0x90);
    enable(SPI(0), 0x60);
    gic_sgi(TO_SELF, 0, 3);
    TRY(acknowledge(3, "of the SGI"));
    pend(SPI(0));
    TRY(acknowledge(SPI(0), "of what preempts"));
    REQUIRE(mmio_read(GICC_APR0) == (1u << 18 | 1u << 12), "GICC_APR0 is 0x%x", mmio_read(GICC_APR0));
    mmio_write(GICC_APR0, 1u << 18);
    REQUIRE(mmio_read(GICC_RPR) == 0x90, "GICC_RPR is 0x%x, not as GICC_APR0 was written", mmio_read(GICC_RPR));
    mmio_write(GICC_APR0, 1u << 18 | 1u << 12);
    gic_end(SPI(0));
    gic_end(3);
    REQUIRE(!mmio_read(GICC_APR0), "GICC_APR0 is 0x%x when all has ended", mmio_read(GICC_APR0));
    for (unsigned n = 1; n < 4; n++) {
        mmio_write(GICC_APR0 + n * 4, ~0u);
        REQUIRE(!mmio_read(GICC_APR0 + n * 4), "GICC_APR%u keeps something with 5 priority bits", n);
    }
    return 0;
}

static volatile u32 seen[MAX_CPUS][5];

static void write_own(void)
{
    u32 cpu = cpu_id();

    gic_priority(20, (u8)(0x10 * (cpu + 1)));
    gic_priority(5, (u8)(0xf0 - 0x10 * cpu));
    gic_set(GICD_ISENABLER, 16 + cpu);
    mmio_write(GICC_PMR, 0x80 + 8 * cpu);
    mmio_write(GICC_BPR, 3 + cpu % 4);
}

static void read_own(void)
{
    u32 cpu = cpu_id();

    seen[cpu][0] = mmio_read8(GICD_IPRIORITYR + 20) == 0x10 * (cpu + 1);
    seen[cpu][1] = mmio_read8(GICD_IPRIORITYR + 5) == 0xf0 - 0x10 * cpu;
    seen[cpu][2] = mmio_read(GICD_ISENABLER) >> 16 == 1u << cpu;
    seen[cpu][3] = (mmio_read(GICC_PMR) & 0xf8) == 0x80 + 8 * cpu;
    seen[cpu][4] = mmio_read(GICC_BPR) == 3 + cpu % 4;
}

const char *banked_registers(void)
{
    static const char *const NAMES[] = {
        "the priority of PPI 20", "the priority of SGI 5", "GICD_ISENABLER0", "GICC_PMR", "GICC_BPR",
    };

    for (unsigned cpu = 0; cpu < cpus; cpu++)
        run_on(cpu, write_own);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        run_on(cpu, read_own);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        for (unsigned n = 0; n < 5; n++)
            REQUIRE(seen[cpu][n], "cpu %u finds %s as another has written it", cpu, NAMES[n]);
    return 0;
}
