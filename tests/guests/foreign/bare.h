/* What the C programs here share: a polled console, the system registers, PSCI. */
#ifndef BARE_H
#define BARE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define MRS(name) ({ u64 value_; asm volatile("mrs %0, " #name : "=r"(value_) : : "memory"); value_; })
#define MSR(name, value) asm volatile("msr " #name ", %0\n\tisb" : : "r"((u64)(value)) : "memory")

#define UART 0x09000000UL
#define GICD 0x08000000UL
#define GICC 0x08010000UL

static inline u32 read32(u64 address) { return *(volatile u32 *)address; }
static inline void write32(u64 address, u32 value) { *(volatile u32 *)address = value; }
static inline u16 read16(u64 address) { return *(volatile u16 *)address; }
static inline void write16(u64 address, u16 value) { *(volatile u16 *)address = value; }
static inline u8 read8(u64 address) { return *(volatile u8 *)address; }
static inline void write8(u64 address, u8 value) { *(volatile u8 *)address = value; }

static inline void put(char c)
{
    while (read32(UART + 0x18) & 1 << 5)
        ;
    write32(UART, (u8)c);
}

static inline void say(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            put('\r');
        put(*text);
    }
}

static inline void hex(u64 value)
{
    int shift = 60;
    say("0x");
    while (shift && !(value >> shift & 15))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[value >> shift & 15]);
}

static inline void decimal(u64 value)
{
    char text[21], *end = text + 20;
    *end = 0;
    do
        *--end = '0' + value % 10;
    while (value /= 10);
    say(end);
}

/* "name value" on a line */
static inline void show(const char *name, u64 value)
{
    say(name);
    put(' ');
    hex(value);
    say("\n");
}

static inline void verdict(const char *name, int good)
{
    say(good ? "ok " : "WRONG ");
    say(name);
    say("\n");
}

static inline u64 psci(u64 function, u64 one, u64 two, u64 three)
{
    register u64 x0 asm("x0") = function;
    register u64 x1 asm("x1") = one;
    register u64 x2 asm("x2") = two;
    register u64 x3 asm("x3") = three;
    asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                 "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    return x0;
}

#define CPU_ON 0xc4000003UL
#define AFFINITY_INFO 0xc4000004UL

struct frame {
    u64 x[31], sp_el0, elr, spsr, fpsr, fpcr;
    unsigned __int128 q[32];
};

/* x0..x3, SCTLR_EL1, SP, CPACR_EL1, VBAR_EL1, DAIF and SPSel at the entry */
extern u64 found[10];
extern char secondary[], vectors[], bss_start[], bss_end[], image_end[];

enum { SYNC_SP0, IRQ_SP0, FIQ_SP0, SERROR_SP0, SYNC, IRQ, FIQ, SERROR, SYNC_EL0, IRQ_EL0, FIQ_EL0 };

static inline void irq_on(void) { asm volatile("msr daifclr, #2" : : : "memory"); }
static inline void irq_off(void) { asm volatile("msr daifset, #2" : : : "memory"); }
static inline void wfi(void) { asm volatile("dsb sy\n\twfi" : : : "memory"); }
static inline void wfe(void) { asm volatile("wfe" : : : "memory"); }
static inline void sev(void) { asm volatile("dsb ish\n\tsev" : : : "memory"); }
static inline void yield(void) { asm volatile("yield" : : : "memory"); }

_Noreturn void unexpected(u64 kind, struct frame *frame);
void trap(u64 kind, struct frame *frame);

#endif
