#include "probe.h"

#define DATA_ABORT_SAME_LEVEL 0x25u

static volatile u8 probing[MAX_CPUS], refused[MAX_CPUS];

int probe_aborted(u64 syndrome)
{
    unsigned cpu = cpu_id();

    if (!probing[cpu] || (syndrome >> 26 & 0x3f) != DATA_ABORT_SAME_LEVEL)
        return 0;
    refused[cpu] = 1;
    return 1;
}

static void begin(unsigned cpu)
{
    refused[cpu] = 0;
    probing[cpu] = 1;
    dsb();
}

static int end(unsigned cpu)
{
    dsb();
    probing[cpu] = 0;
    return refused[cpu];
}

struct answer probe_read(u64 address, unsigned size)
{
    unsigned cpu = cpu_id();
    struct answer answer;

    begin(cpu);
    answer.value = size == 1 ? mmio_read8(address) : size == 2 ? mmio_read16(address) : mmio_read(address);
    answer.refused = end(cpu);
    if (answer.refused)
        answer.value = 0;
    return answer;
}

int probe_write(u64 address, unsigned size, u32 value)
{
    unsigned cpu = cpu_id();

    begin(cpu);
    if (size == 1)
        mmio_write8(address, (u8)value);
    else if (size == 2)
        mmio_write16(address, value);
    else
        mmio_write(address, value);
    return end(cpu);
}
