// Entry points and exception vectors. Every CPU enters at EL1 with the MMU off: the first by reset, the others by
// PSCI CPU_ON. Interrupts nest: a handler's whole context is on the stack before C runs.

    .equ STACK_SHIFT, 14                // 16 KiB for each CPU, see link.ld

    .section .text.boot, "ax"
    .global _start
_start:
    ldr     x1, =__bss_start
    ldr     x2, =__bss_end
0:  cmp     x1, x2
    b.hs    1f
    str     xzr, [x1], #8
    b       0b
1:  bl      set_up_cpu
    bl      first_main
    b       .

    .global secondary_start
secondary_start:
    bl      set_up_cpu
    bl      secondary_main
    b       .

set_up_cpu:
    mrs     x1, mpidr_el1
    and     x1, x1, #0xff
    ldr     x2, =__stacks_top
    sub     x2, x2, x1, lsl #STACK_SHIFT
    msr     spsel, #1
    mov     sp, x2
    ldr     x2, =vectors
    msr     vbar_el1, x2
    isb
    ret

// u64 psci(u64 function, u64 a, u64 b, u64 c)
    .text
    .global psci
psci:
    hvc     #0
    ret

    .macro enter
    sub     sp, sp, #192
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x29, [sp, #144]
    mrs     x0, elr_el1
    mrs     x1, spsr_el1
    stp     x30, x0, [sp, #160]
    str     x1, [sp, #176]
    .endm

    .macro leave
    ldp     x30, x0, [sp, #160]
    ldr     x1, [sp, #176]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    ldp     x18, x29, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp, #0]
    add     sp, sp, #192
    eret
    .endm

    .macro interrupt handler
    enter
    bl      \handler
    leave
    .endm

irq_vector:
    interrupt irq_entry
fiq_vector:
    interrupt fiq_entry
synchronous:
    enter
    mrs     x0, esr_el1
    mrs     x1, elr_el1
    mrs     x2, far_el1
    bl      synchronous_entry           // yields where to go on
    str     x0, [sp, #168]
    leave
unexpected:
    mrs     x0, esr_el1
    mrs     x1, elr_el1
    mrs     x2, far_el1
    bl      unexpected_exception
    b       .

    .macro vector target
    .balign 128
    b       \target
    .endm

    .balign 2048
vectors:
    .rept 4                             // from EL1 with SP_EL0: never used here
    vector  unexpected
    .endr
    vector  synchronous
    vector  irq_vector
    vector  fiq_vector
    vector  unexpected
    .rept 8                             // from EL0: never used here
    vector  unexpected
    .endr
