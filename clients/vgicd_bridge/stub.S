// What runs at EL2 under the guest: it turns an access that stage 2 does not map into a request in the mailbox, rings,
// and goes on when the answer is there (DDI 0487, D1.10: an exception to EL2 leaves every register of EL1 as it was).
//
// The bridge puts it into memory that the guest does not see, with the vectors at 0x800, the mailbox at 0x1000 and the
// stage 2 tables above; mailbox.py has the same layout. SP_EL2 is the mailbox always; nothing here has a stack.

    .equ VECTORS, 0x800
    .equ MAILBOX, 0x1000
    .equ TRAP, 0x7f8

    .equ X0, 0x000              // X0..X30
    .equ ELR, 0x0f8             // and SPSR
    .equ ESR, 0x108             // and FAR
    .equ HPFAR, 0x118
    .equ VBAR1, 0x120
    .equ SPS, 0x128             // SP_EL0, SP_EL1
    .equ INSTRUCTION, 0x138     // 0 where ESR tells enough, or where it could not be read
    .equ REQUEST, 0x140         // number of the last request
    .equ REPLY, 0x148           // number of the last one answered
    .equ BELL, 0x150            // CNTHP_CTL_EL2.ENABLE as it is; every change is one ring
    .equ STOPS, 0x158           // not 0: no bell, the debugger has a breakpoint on `trap`
    .equ INTID, 0x160           // what QEMU's own GIC signals: its GICC_IAR, NO_INTID where the request is another
    .equ INJECT, 0x168          // not 0: take ESR_EL1, FAR_EL1, ELR_EL1, SPSR_EL1 from the four that follow
    .equ EL1, 0x170
    .equ CONTROL, 0x190         // HCR_EL2, VTCR_EL2, VTTBR_EL2
    .equ IAR, 0x1a8             // where QEMU has GICC_IAR

    .equ NO_INTID, 0xffff
    .equ HVC64, 0x16            // ESR_EL2.EC
    .equ DATA_ABORT, 0x24
    .equ ISV, 24
    .equ PA_MASK, 0x0000fffffffff000

    .text
stub:
    msr     daifset, #15
    msr     spsel, #1
    adr     x0, stub
    add     x1, x0, #MAILBOX
    mov     sp, x1
    add     x1, x0, #VECTORS
    msr     vbar_el2, x1
    ldp     x1, x2, [sp, #CONTROL]
    ldr     x3, [sp, #CONTROL + 16]
    msr     hcr_el2, x1
    msr     vtcr_el2, x2
    msr     vttbr_el2, x3
    mov     x1, #3              // EL1 has the physical counter and timer as without EL2
    msr     cnthctl_el2, x1
    msr     cntvoff_el2, xzr
    mov     x1, #0x32ff         // no traps of floating point, vectors or debug
    msr     cptr_el2, x1
    msr     hstr_el2, xzr
    mrs     x1, midr_el1
    msr     vpidr_el2, x1
    mrs     x1, mpidr_el1
    msr     vmpidr_el2, x1
    msr     cnthp_ctl_el2, xzr
    msr     cnthp_cval_el2, xzr // long past: the output is what ENABLE is
    tlbi    alle1
    dsb     sy
    isb
    b       restore

synchronous:
    stp     x0, x1, [sp, #X0]
    mrs     x0, esr_el2
    lsr     x0, x0, #26
    cmp     x0, #HVC64
    b.eq    hypercall
    mov     w1, #NO_INTID
    b       report

hypercall:                      // the machine's PSCI listens to SMC where there is an EL2
    ldp     x0, x1, [sp, #X0]
    smc     #0
    eret

interrupt:                      // VIRQ and VFIQ never come here, only what QEMU's own GIC signals
    stp     x0, x1, [sp, #X0]
    ldr     x1, [sp, #IAR]
    ldr     w1, [x1]
    and     w0, w1, #0x3ff
    cmp     w0, #1020
    b.hs    0f                  // it has thought better of it
    cmp     w0, #16
    b.hs    report
    ldr     x0, [sp, #IAR]      // SGI 15 has done its work
    str     w1, [x0, #4]        // GICC_EOIR
0:  ldp     x0, x1, [sp, #X0]
    eret

report:                         // X1: INTID
    str     x1, [sp, #INTID]
    stp     x2, x3, [sp, #X0 + 16]
    stp     x4, x5, [sp, #X0 + 32]
    stp     x6, x7, [sp, #X0 + 48]
    stp     x8, x9, [sp, #X0 + 64]
    stp     x10, x11, [sp, #X0 + 80]
    stp     x12, x13, [sp, #X0 + 96]
    stp     x14, x15, [sp, #X0 + 112]
    stp     x16, x17, [sp, #X0 + 128]
    stp     x18, x19, [sp, #X0 + 144]
    stp     x20, x21, [sp, #X0 + 160]
    stp     x22, x23, [sp, #X0 + 176]
    stp     x24, x25, [sp, #X0 + 192]
    stp     x26, x27, [sp, #X0 + 208]
    stp     x28, x29, [sp, #X0 + 224]
    mrs     x2, elr_el2
    stp     x30, x2, [sp, #X0 + 240]
    mrs     x3, spsr_el2
    mrs     x4, esr_el2
    stp     x3, x4, [sp, #ELR + 8]
    mrs     x5, far_el2
    mrs     x6, hpfar_el2
    stp     x5, x6, [sp, #ESR + 8]
    mrs     x7, vbar_el1
    mrs     x8, sp_el0
    stp     x7, x8, [sp, #VBAR1]
    mrs     x9, sp_el1
    str     x9, [sp, #SPS + 8]

    mov     w11, #0
    lsr     x10, x4, #26
    cmp     x10, #DATA_ABORT
    b.ne    ring
    tbnz    x4, #ISV, ring
    mrs     x10, par_el1        // the instruction itself must tell: translate its address as the guest would
    at      s12e1r, x2
    isb
    mrs     x12, par_el1
    msr     par_el1, x10
    tbnz    x12, #0, ring
    and     x12, x12, #PA_MASK
    and     x13, x2, #0xfff
    ldr     w11, [x12, x13]

ring:
    str     x11, [sp, #INSTRUCTION]
    ldr     w0, [sp, #REQUEST]
    add     w0, w0, #1
    add     x1, sp, #REQUEST
    stlr    w0, [x1]
    ldr     x1, [sp, #STOPS]
    cbnz    x1, trap
    ldr     x1, [sp, #BELL]
    eor     x1, x1, #1
    str     x1, [sp, #BELL]
    msr     cnthp_ctl_el2, x1
    isb
await:
    add     x1, sp, #REPLY
0:  ldar    w2, [x1]
    cmp     w2, w0
    b.eq    1f
    wfi                         // SGI 15 of QEMU's GIC comes with the answer; that it is masked here does not matter
    b       0b

1:  ldr     x0, [sp, #INTID]
    mov     w1, #NO_INTID
    cmp     w0, w1
    b.eq    restore
    ldr     x1, [sp, #IAR]
    str     w0, [x1, #4]        // GICC_EOIR

restore:
    ldr     x0, [sp, #INJECT]
    cbz     x0, 1f
    str     xzr, [sp, #INJECT]
    ldp     x0, x1, [sp, #EL1]
    msr     esr_el1, x0
    msr     far_el1, x1
    ldp     x0, x1, [sp, #EL1 + 16]
    msr     elr_el1, x0
    msr     spsr_el1, x1
1:  ldp     x0, x1, [sp, #ELR]
    msr     elr_el2, x0
    msr     spsr_el2, x1
    ldp     x0, x1, [sp, #SPS]
    msr     sp_el0, x0
    msr     sp_el1, x1
    ldp     x2, x3, [sp, #X0 + 16]
    ldp     x4, x5, [sp, #X0 + 32]
    ldp     x6, x7, [sp, #X0 + 48]
    ldp     x8, x9, [sp, #X0 + 64]
    ldp     x10, x11, [sp, #X0 + 80]
    ldp     x12, x13, [sp, #X0 + 96]
    ldp     x14, x15, [sp, #X0 + 112]
    ldp     x16, x17, [sp, #X0 + 128]
    ldp     x18, x19, [sp, #X0 + 144]
    ldp     x20, x21, [sp, #X0 + 160]
    ldp     x22, x23, [sp, #X0 + 176]
    ldp     x24, x25, [sp, #X0 + 192]
    ldp     x26, x27, [sp, #X0 + 208]
    ldp     x28, x29, [sp, #X0 + 224]
    ldr     x30, [sp, #X0 + 240]
    ldp     x0, x1, [sp, #X0]
    eret

    .org    TRAP
trap:
    nop
    b       await

    .macro vector target
    .balign 128
    b       \target
    .endm

    .balign VECTORS
vectors:
    .rept 8                     // from EL2 itself, where nothing faults
    vector  .
    .endr
    vector  synchronous         // from EL1 and EL0, AArch64
    vector  interrupt
    vector  interrupt           // FIQ: the GIC of a machine without EL3 has none
    vector  .
    vector  synchronous         // AArch32 at EL0
    vector  interrupt
    vector  interrupt
    vector  .
