/* The GICv2 as a guest sees it: IHI 0048B chapter 4. */
#pragma once

#include "arch.h"

#define GICD 0x08000000ul
#define GICD_CTLR (GICD + 0x000)
#define GICD_TYPER (GICD + 0x004)
#define GICD_IIDR (GICD + 0x008)
#define GICD_IGROUPR (GICD + 0x080)
#define GICD_ISENABLER (GICD + 0x100)
#define GICD_ICENABLER (GICD + 0x180)
#define GICD_ISPENDR (GICD + 0x200)
#define GICD_ICPENDR (GICD + 0x280)
#define GICD_ISACTIVER (GICD + 0x300)
#define GICD_ICACTIVER (GICD + 0x380)
#define GICD_IPRIORITYR (GICD + 0x400)
#define GICD_ITARGETSR (GICD + 0x800)
#define GICD_ICFGR (GICD + 0xc00)
#define GICD_SGIR (GICD + 0xf00)
#define GICD_CPENDSGIR (GICD + 0xf10)
#define GICD_SPENDSGIR (GICD + 0xf20)
#define GICD_ICPIDR2 (GICD + 0xfe8)
#define GICD_ICCIDR0 (GICD + 0xff0)

#define GICC 0x08010000ul
#define GICC_CTLR (GICC + 0x0000)
#define GICC_PMR (GICC + 0x0004)
#define GICC_BPR (GICC + 0x0008)
#define GICC_IAR (GICC + 0x000c)
#define GICC_EOIR (GICC + 0x0010)
#define GICC_RPR (GICC + 0x0014)
#define GICC_HPPIR (GICC + 0x0018)
#define GICC_ABPR (GICC + 0x001c)
#define GICC_AIAR (GICC + 0x0020)
#define GICC_AEOIR (GICC + 0x0024)
#define GICC_AHPPIR (GICC + 0x0028)
#define GICC_APR0 (GICC + 0x00d0)
#define GICC_IIDR (GICC + 0x00fc)
#define GICC_DIR (GICC + 0x1000)

#define CTLR_GROUP0 0x001u
#define CTLR_GROUP1 0x002u
#define CTLR_ACKCTL 0x004u
#define CTLR_FIQEN 0x008u
#define CTLR_CBPR 0x010u
#define CTLR_EOIMODE 0x200u

#define SPURIOUS 1023u
#define OTHER_GROUP 1022u
#define IDLE_PRIORITY 0xffu
#define DEFAULT_PRIORITY 0xa0u

#define INTID(iar) ((iar) & 0x3ffu)
#define SOURCE(iar) ((iar) >> 10 & 7u)

enum sgi_filter { TO_LIST = 0, TO_OTHERS = 1, TO_SELF = 2 };

/* GICD_IIDR, read once: an access to the distributor may change what a later one finds. */
u32 gic_identity(void);

/* QEMU's software GIC has no GICC_AIAR, keeps the active state of an SPI per CPU and leaves a pending SPI where it
 * was when its target changes. Scenarios ask less of it, and say so. */
#define QEMU_IIDR 0x43bu
static inline int gic_is_qemu(void) { return gic_identity() == QEMU_IIDR; }

/* Xen's VGIC as released: a debug build stops at any access to the SGI pending registers. */
#define XEN_IIDR 0x4b01043bu
static inline int gic_is_xen(void) { return gic_identity() == XEN_IIDR; }

unsigned gic_cpus(void);
unsigned gic_lines(void);

/* Bring the distributor, then this CPU's interface, to a known state: all disabled, idle, default priority. */
void gic_reset_distributor(void);
void gic_reset_cpu(void);

static inline u32 gic_acknowledge(void) { return mmio_read(GICC_IAR); }
static inline void gic_end(u32 iar) { mmio_write(GICC_EOIR, iar); }
static inline void gic_deactivate(u32 iar) { mmio_write(GICC_DIR, iar); }

static inline void gic_set(u64 bank, u32 intid) { mmio_write(bank + intid / 32 * 4, 1u << intid % 32); }
static inline int gic_test(u64 bank, u32 intid) { return mmio_read(bank + intid / 32 * 4) >> intid % 32 & 1; }
static inline void gic_priority(u32 intid, u8 priority) { mmio_write8(GICD_IPRIORITYR + intid, priority); }
static inline void gic_target(u32 intid, u8 cpus) { mmio_write8(GICD_ITARGETSR + intid, cpus); }
void gic_level(u32 intid, int level);

static inline void gic_sgi(enum sgi_filter filter, u32 cpus, u32 intid)
{
    dsb();      /* what this CPU wrote is there before the other is interrupted */
    mmio_write(GICD_SGIR, (u32)filter << 24 | cpus << 16 | intid);
}
