/* The distributor's registers: what they keep, what they ignore, how wide they may be read. */
#include "suite.h"

#define PATTERN 0xa5a50ff0u
#define OTHER_BITS 0x05a00f00u      /* some of the pattern's */

/* Lines beyond the first 64 are looked at in the last word only. */
static unsigned words(void) { return gic_lines() / 32; }
static unsigned after(unsigned word) { return word + 1 < words() ? words() - 1 : words(); }

const char *typer_names_the_geometry(void)
{
    u32 typer = mmio_read(GICD_TYPER), iidr = mmio_read(GICD_IIDR);

    mmio_write(GICD_TYPER, ~typer);
    mmio_write(GICD_IIDR, ~iidr);
    REQUIRE(mmio_read(GICD_TYPER) == typer && mmio_read(GICD_IIDR) == iidr, "GICD_TYPER or GICD_IIDR can be written");
    REQUIRE(!(typer & ~0xffu), "GICD_TYPER is 0x%x: more than lines and CPUs", typer);
    REQUIRE((iidr & 0xfff) == 0x43b, "GICD_IIDR is 0x%x: another implementer than ARM", iidr);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        REQUIRE(psci(PSCI_AFFINITY_INFO, cpu, 0, 0) == 0, "cpu %u of %u is not on", cpu, cpus);
    REQUIRE((long)psci(PSCI_AFFINITY_INFO, cpus, 0, 0) == PSCI_INVALID_PARAMETERS, "there is a cpu %u", cpus);
    REQUIRE((long)psci(PSCI_CPU_ON, 0, 0, 0) == PSCI_ALREADY_ON, "cpu 0 can be switched on though it runs");
    return 0;
}

const char *identification_is_a_gicv2(void)
{
    static const u8 component[] = { 0x0d, 0xf0, 0x05, 0xb1 };
    struct answer answer = probe_read(GICD_ICPIDR2, 4);

    if (answer.refused && SKIPPED_ON_XEN("it has no identification registers"))
        return 0;
    REQUIRE(!answer.refused && (answer.value >> 4 & 0xf) == 2, "ICPIDR2 is 0x%x: not a GICv2", answer.value);
    mmio_write(GICD_ICPIDR2, ~answer.value);
    REQUIRE(mmio_read(GICD_ICPIDR2) == answer.value, "ICPIDR2 can be written");
    for (unsigned n = 0; n < sizeof component; n++)
        REQUIRE(mmio_read(GICD_ICCIDR0 + n * 4) == component[n], "ICCIDR%u is not 0x%x", n, component[n]);
    return 0;
}

/* A pair of registers with one bit for each interrupt, one of which sets and one of which clears. */
static const char *set_and_clear(const char *name, u64 set, u64 clear)
{
    for (unsigned word = 1; word < words(); word = after(word)) {
        u64 s = set + word * 4, c = clear + word * 4;

        mmio_write(c, ~0u);
        REQUIRE(!mmio_read(s) && !mmio_read(c), "%s%u does not become 0", name, word);
        mmio_write(s, PATTERN);
        REQUIRE(mmio_read(s) == PATTERN, "%s%u is 0x%x, not 0x%x", name, word, mmio_read(s), PATTERN);
        mmio_write(s, 0);
        mmio_write(c, 0);
        REQUIRE(mmio_read(c) == PATTERN, "zeros change %s%u to 0x%x", name, word, mmio_read(c));
        mmio_write(c, OTHER_BITS);
        REQUIRE(mmio_read(s) == (PATTERN & ~OTHER_BITS), "%s%u is 0x%x after clearing", name, word, mmio_read(s));
        mmio_write(s, ~0u);
        REQUIRE(mmio_read(c) == ~0u, "%s%u is 0x%x with all set", name, word, mmio_read(c));
        mmio_write(c, ~0u);
        REQUIRE(!mmio_read(c), "%s%u is 0x%x with all cleared", name, word, mmio_read(c));
    }
    return 0;
}

const char *enable_bits(void)
{
    return set_and_clear("GICD_ISENABLER", GICD_ISENABLER, GICD_ICENABLER);
}

const char *pending_bits(void)
{
    for (unsigned intid = gic_lines() - 32; intid < gic_lines(); intid += 4)
        mmio_write(GICD_ITARGETSR + intid, 0x01010101u);
    return set_and_clear("GICD_ISPENDR", GICD_ISPENDR, GICD_ICPENDR);
}

const char *active_bits(void)
{
    return set_and_clear("GICD_ISACTIVER", GICD_ISACTIVER, GICD_ICACTIVER);
}

const char *group_bits(void)
{
    if (SKIPPED_ON_XEN("GICD_IGROUPR reads as ones and cannot be written (F7)"))
        return 0;
    for (unsigned word = 0; word < words(); word = word ? after(word) : 1) {
        u64 address = GICD_IGROUPR + word * 4;

        mmio_write(address, PATTERN);
        REQUIRE(mmio_read(address) == PATTERN, "GICD_IGROUPR%u is 0x%x, not 0x%x", word, mmio_read(address), PATTERN);
        mmio_write(address, 0);
        REQUIRE(!mmio_read(address), "GICD_IGROUPR%u is 0x%x, not 0", word, mmio_read(address));
    }
    return 0;
}

const char *priority_bytes(void)
{
    u32 bits;

    mmio_write8(GICD_IPRIORITYR + 34, 0xff);
    bits = mmio_read8(GICD_IPRIORITYR + 34);
    REQUIRE(bits >= 0xf0 && !((~bits & 0xff) & ((~bits & 0xff) + 1)), "the priority bits are 0x%x", bits);
    for (unsigned intid = 0; intid < gic_lines(); intid = intid ? after(intid / 32) * 32 : 32) {
        u64 address = GICD_IPRIORITYR + intid;

        mmio_write(address, 0xa7a6a5a4u);
        REQUIRE(mmio_read(address) == (0xa7a6a5a4u & bits * 0x01010101u), "priorities of %u: 0x%x", intid,
                mmio_read(address));
        mmio_write8(address + 1, 0x47);
        for (unsigned n = 0; n < 4; n++)
            REQUIRE(mmio_read8(address + n) == ((n == 1 ? 0x47u : 0xa4u + n) & bits), "priority of %u: 0x%x", intid + n,
                    mmio_read8(address + n));
    }
    return 0;
}

static volatile u32 own_targets[MAX_CPUS];

static void look_at_own_targets(void)
{
    mmio_write(GICD_ITARGETSR + 28, ~mmio_read(GICD_ITARGETSR + 28));
    own_targets[cpu_id()] = mmio_read(GICD_ITARGETSR) & mmio_read(GICD_ITARGETSR + 28);
}

/* On one CPU the field may be left out: it reads zero, or as with several. */
const char *target_bytes(void)
{
    u64 last = GICD_ITARGETSR + gic_lines() - 4;
    u32 word;

    run_everywhere(look_at_own_targets);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        REQUIRE(own_targets[cpu] == only(cpu) * 0x01010101u || (cpus == 1 && !own_targets[cpu]),
                "GICD_ITARGETSR0 of cpu %u is 0x%x", cpu, own_targets[cpu]);
    mmio_write(last, 0);
    mmio_write8(last + 2, 1);
    word = mmio_read(last);
    REQUIRE(word == 0x00010000 || (cpus == 1 && !word), "the last GICD_ITARGETSR is 0x%x after a byte", word);
    if (SKIPPED_ON_QEMU("keeps target bits of CPUs that there are not"))
        return 0;
    mmio_write(last, ~0u);
    word = mmio_read(last);
    REQUIRE(word == everyone() * 0x01010101u || (cpus == 1 && !word), "targets of all CPUs read 0x%x", word);
    return 0;
}

const char *configuration_bits(void)
{
    u32 ppis = mmio_read(GICD_ICFGR + 4);

    mmio_write(GICD_ICFGR, 0);
    REQUIRE(mmio_read(GICD_ICFGR) == 0xaaaaaaaau, "GICD_ICFGR0 is 0x%x: SGIs are edges", mmio_read(GICD_ICFGR));
    REQUIRE(!(ppis & 0x55555555u), "GICD_ICFGR1 is 0x%x", ppis);
    for (unsigned word = 2; word < words() * 2; word = word == 2 ? words() * 2 - 1 : words() * 2) {
        u64 address = GICD_ICFGR + word * 4;

        mmio_write(address, 0xffffffffu);
        REQUIRE(mmio_read(address) == 0xaaaaaaaau, "GICD_ICFGR%u is 0x%x, not all edge", word, mmio_read(address));
        mmio_write(address, 0xc);
        REQUIRE(mmio_read(address) == 0x8, "GICD_ICFGR%u is 0x%x, not 0x8", word, mmio_read(address));
        mmio_write(address, 0);
        REQUIRE(!mmio_read(address), "GICD_ICFGR%u is 0x%x, not all level", word, mmio_read(address));
    }
    return 0;
}

/* The other accesses reach a register that is neither wide enough nor narrow enough: no effect, and zero. */
const char *narrow_accesses(void)
{
    static const struct { u64 address; u8 size; } PLACES[] = {
        { GICD_TYPER, 1 }, { GICD_TYPER, 2 }, { GICD_ISENABLER, 1 }, { GICD_ISENABLER, 2 }, { GICD_ICFGR, 2 },
        { GICD_IPRIORITYR + 32, 2 }, { GICD_ITARGETSR, 2 }, { GICC_CTLR, 1 }, { GICC_PMR, 2 }, { GICC_IAR, 1 },
        { GICC_IAR, 2 },
    };
    u32 refused = 0;

    if (SKIPPED_ON_QEMU("takes bytes and halfwords everywhere"))
        return 0;
    gic_sgi(TO_SELF, 0, 6);
    for (unsigned n = 0; n < sizeof PLACES / sizeof *PLACES; n++) {
        struct answer answer = probe_read(PLACES[n].address, PLACES[n].size);

        REQUIRE(!answer.value, "%u bytes at 0x%x read 0x%x", PLACES[n].size, (u32)PLACES[n].address, answer.value);
        refused += (u32)answer.refused;
    }
    refused += (u32)probe_write(GICD_CTLR, 1, 0) + (u32)probe_write(GICC_PMR, 2, 0);
    REQUIRE(!refused || gic_is_xen(), "%u accesses were refused", refused);
    if (refused)
        say("   Xen: %u of them refused\n", refused);
    return take(6, "after narrow reads of it");
}

const char *reserved_places(void)
{
    static const u64 PLACES[] = {
        GICD + 0x00c, GICD + 0x040, GICD + 0xd00, GICD + 0xe00, GICD + 0xf04, GICD + 0xf30, GICD + 0xfcc,
        GICC + 0x02c, GICC + 0x0c0, GICC + 0x100, GICC + 0xffc, GICC + 0x1004,
    };
    u32 refused = 0;

    for (unsigned n = 0; n < sizeof PLACES / sizeof *PLACES; n++) {
        struct answer answer;

        refused += (u32)probe_write(PLACES[n], 4, ~0u);
        answer = probe_read(PLACES[n], 4);
        refused += (u32)answer.refused;
        REQUIRE(!answer.value, "0x%x, which is reserved, reads 0x%x", (u32)PLACES[n], answer.value);
    }
    REQUIRE(!refused || gic_is_xen(), "%u accesses were refused", refused);
    if (refused)
        say("   Xen: %u of them refused\n", refused);
    return 0;
}

/* GICD_TYPER says where the interrupt lines end: the last is a whole interrupt, and behind it is nothing. */
const char *last_line(void)
{
    u32 last = gic_lines() > 1020 ? 1019 : gic_lines() - 1, beyond = last + 1, refused = 0;
    static const struct { u64 address; u8 bits; } BANKS[] = {
        { GICD_ISENABLER, 1 }, { GICD_ISPENDR, 1 }, { GICD_ISACTIVER, 1 }, { GICD_IPRIORITYR, 8 }, { GICD_ICFGR, 2 },
    };

    gic_level(last, 0);
    gic_target(last, 1);
    enable(last, 0x40);
    pend(last);
    REQUIRE(is_pending(last), "interrupt %u does not become pending", last);
    TRY(acknowledge(last, "for the last line"));
    REQUIRE(is_active(last), "interrupt %u is not active when acknowledged", last);
    gic_end(last);
    REQUIRE(!is_active(last), "interrupt %u stays active", last);
    gic_set(GICD_ICENABLER, last);
    for (unsigned n = 0; beyond < 1020 && n < sizeof BANKS / sizeof *BANKS; n++) {
        u64 address = BANKS[n].address + beyond / 8 * BANKS[n].bits;
        struct answer answer;

        refused += (u32)probe_write(address, 4, ~0u);
        answer = probe_read(address, 4);
        refused += (u32)answer.refused;
        REQUIRE(!answer.value, "0x%x, behind the last line, reads 0x%x", (u32)address, answer.value);
    }
    REQUIRE(!refused || gic_is_xen(), "%u accesses behind the last line were refused", refused);
    return nothing("behind the last line");
}
