/* What a program finds at its entry, and in the identification registers. */
#include "bare.h"

#ifndef FIRST
#define FIRST 0 /* an ELF leaves X0 out, where QEMU has nothing and other loaders the device tree */
#endif

void program(void)
{
    static const char *const names[] = {"x0", "x1", "x2", "x3", "SCTLR_EL1", "SP", "CPACR_EL1", "VBAR_EL1", "DAIF", "SPSel"};
    for (int n = FIRST; n < 10; n++)
        show(names[n], found[n]);
    show("CurrentEL", MRS(CurrentEL));
    show("MPIDR_EL1", MRS(MPIDR_EL1));
    show("MIDR_EL1", MRS(MIDR_EL1));
    show("REVIDR_EL1", MRS(REVIDR_EL1));
    show("CNTFRQ_EL0", MRS(CNTFRQ_EL0));
    show("CNTKCTL_EL1", MRS(CNTKCTL_EL1));
    show("CNTV_CTL_EL0", MRS(CNTV_CTL_EL0));
    show("CNTP_CTL_EL0", MRS(CNTP_CTL_EL0));
    show("CTR_EL0", MRS(CTR_EL0));
    show("DCZID_EL0", MRS(DCZID_EL0));
    show("CLIDR_EL1", MRS(CLIDR_EL1));
    show("ID_AA64PFR0_EL1", MRS(ID_AA64PFR0_EL1) & 0xff);
    show("ID_AA64PFR1_EL1", MRS(ID_AA64PFR1_EL1));
    show("ID_AA64DFR0_EL1", MRS(ID_AA64DFR0_EL1));
    show("ID_AA64ISAR0_EL1", MRS(ID_AA64ISAR0_EL1));
    show("ID_AA64ISAR1_EL1", MRS(ID_AA64ISAR1_EL1));
    show("ID_AA64MMFR0_EL1", MRS(ID_AA64MMFR0_EL1));
    show("ID_AA64MMFR1_EL1", MRS(ID_AA64MMFR1_EL1));
    show("TCR_EL1", MRS(TCR_EL1));
    show("TTBR0_EL1", MRS(TTBR0_EL1));
    show("TTBR1_EL1", MRS(TTBR1_EL1));
    show("MAIR_EL1", MRS(MAIR_EL1));
    show("ISR_EL1", MRS(ISR_EL1));
    show("TPIDR_EL1", MRS(TPIDR_EL1));
    show("CONTEXTIDR_EL1", MRS(CONTEXTIDR_EL1));
    show("FPCR", MRS(FPCR));
    show("MDSCR_EL1", MRS(MDSCR_EL1));
    MSR(CSSELR_EL1, 0);
    show("CCSIDR L1D", MRS(CCSIDR_EL1));
    MSR(CSSELR_EL1, 1);
    show("CCSIDR L1I", MRS(CCSIDR_EL1));
    MSR(CSSELR_EL1, 2);
    show("CCSIDR L2", MRS(CCSIDR_EL1));
    MSR(OSLAR_EL1, 0);
    show("OSLSR_EL1", MRS(OSLSR_EL1));
    MSR(TPIDR_EL1, 0x1122334455667788);
    MSR(TPIDR_EL0, 0x99aabbccddeeff00);
    MSR(TPIDRRO_EL0, 0x0123456789abcdef);
    show("TPIDR_EL1", MRS(TPIDR_EL1));
    show("TPIDR_EL0", MRS(TPIDR_EL0));
    show("TPIDRRO_EL0", MRS(TPIDRRO_EL0));
}
