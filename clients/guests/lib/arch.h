/* The architecture in C: counters, barriers, masks and device accesses. */
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#define MAX_CPUS 8u

#define read_sysreg(name) ({ u64 value_; __asm__ volatile("mrs %0, " #name : "=r"(value_) :: "memory"); value_; })
#define write_sysreg(name, value) __asm__ volatile("msr " #name ", %0" :: "r"((u64)(value)) : "memory")

static inline void dsb(void) { __asm__ volatile("dsb sy" ::: "memory"); }
static inline void isb(void) { __asm__ volatile("isb" ::: "memory"); }
static inline void wfi(void) { __asm__ volatile("dsb sy\n\twfi" ::: "memory"); }
static inline void wfe(void) { __asm__ volatile("wfe" ::: "memory"); }
static inline void sev(void) { __asm__ volatile("dsb sy\n\tsev" ::: "memory"); }
static inline void irq_unmask(void) { __asm__ volatile("msr daifclr, #3\n\tisb" ::: "memory"); }
static inline void irq_mask(void) { __asm__ volatile("msr daifset, #3\n\tisb" ::: "memory"); }

static inline unsigned cpu_id(void) { return read_sysreg(mpidr_el1) & 0xff; }
static inline u64 frequency(void) { return read_sysreg(cntfrq_el0); }

static inline u64 counter(void)
{
    isb();
    return read_sysreg(cntvct_el0);
}

/* Plain loads and stores only: a hypervisor gets no syndrome for write-back and pair forms. */
static inline u32 mmio_read(u64 address)
{
    u32 value;
    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline u8 mmio_read8(u64 address)
{
    u32 value;
    __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return (u8)value;
}

static inline u32 mmio_read16(u64 address)
{
    u32 value;
    __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void mmio_write(u64 address, u32 value)
{
    __asm__ volatile("str %w0, [%1]" :: "r"(value), "r"(address) : "memory");
}

static inline void mmio_write8(u64 address, u8 value)
{
    __asm__ volatile("strb %w0, [%1]" :: "r"((u32)value), "r"(address) : "memory");
}

static inline void mmio_write16(u64 address, u32 value)
{
    __asm__ volatile("strh %w0, [%1]" :: "r"(value), "r"(address) : "memory");
}

/* Spin until `condition` holds, for at most so many `ticks` of the guest's time; yields whether it holds. */
#define wait_up_to(ticks, condition) ({ \
    u64 end_ = counter() + (ticks); \
    while (!(condition) && counter() < end_) \
        ; \
    (condition); })

/* The same for half a second. */
#define wait_for(condition) wait_up_to(frequency() / 2, condition)

/* Leave interrupts the time to arrive: 20 microseconds. */
static inline void settle(void)
{
    u64 end = counter() + frequency() / 50000;
    while (counter() < end)
        ;
}
