// A preemptive kernel's switch, as small RTOSes have it: tasks on SP_EL0, the kernel on SP_EL1, lazy floating point.
    .text
    .balign 0x800
    .global kernel_vectors
kernel_vectors:
    b       switch_sync                 // EL1 with SP_EL0: the tasks
    .balign 0x80
    b       switch_irq
    .org    kernel_vectors + 0x200
    b       dead                        // EL1 with SP_EL1: the kernel itself, which does nothing wrong
    .org    kernel_vectors + 0x280
    b       dead
    .org    kernel_vectors + 0x780
    b       dead
dead:
    mov     x0, #99
    bl      kernel_dead
    b       .

    .macro  save
    msr     SPSel, #0
    stp     x29, x30, [sp, #-16]!
    stp     x27, x28, [sp, #-16]!
    stp     x25, x26, [sp, #-16]!
    stp     x23, x24, [sp, #-16]!
    stp     x21, x22, [sp, #-16]!
    stp     x19, x20, [sp, #-16]!
    stp     x17, x18, [sp, #-16]!
    stp     x15, x16, [sp, #-16]!
    stp     x13, x14, [sp, #-16]!
    stp     x11, x12, [sp, #-16]!
    stp     x9, x10, [sp, #-16]!
    stp     x7, x8, [sp, #-16]!
    stp     x5, x6, [sp, #-16]!
    stp     x3, x4, [sp, #-16]!
    stp     x1, x2, [sp, #-16]!
    mrs     x1, ELR_EL1
    stp     x1, x0, [sp, #-16]!
    mrs     x1, SPSR_EL1
    stp     x1, xzr, [sp, #-16]!
    mov     x1, sp
    msr     SPSel, #1
    .endm

switch_sync:
    save
    mrs     x0, ESR_EL1
    bl      kernel_sync
    b       restore
switch_irq:
    save
    mov     x0, #0
    bl      kernel_irq
restore:                                // x0: the stack of whom to run
    .global restore
    msr     SPSel, #0
    mov     sp, x0
    ldp     x1, xzr, [sp], #16
    msr     SPSR_EL1, x1
    ldp     x1, x0, [sp], #16
    msr     ELR_EL1, x1
    ldp     x1, x2, [sp], #16
    ldp     x3, x4, [sp], #16
    ldp     x5, x6, [sp], #16
    ldp     x7, x8, [sp], #16
    ldp     x9, x10, [sp], #16
    ldp     x11, x12, [sp], #16
    ldp     x13, x14, [sp], #16
    ldp     x15, x16, [sp], #16
    ldp     x17, x18, [sp], #16
    ldp     x19, x20, [sp], #16
    ldp     x21, x22, [sp], #16
    ldp     x23, x24, [sp], #16
    ldp     x25, x26, [sp], #16
    ldp     x27, x28, [sp], #16
    ldp     x29, x30, [sp], #16
    msr     SPSel, #1
    eret
