// The usual beginning of a C program: registers kept as they were found, FP on, a stack per CPU, .bss cleared.
    .equ    STACK, 0x4000

    .section .head, "ax"
    .global _start
_start:
    adrp    x9, found
    add     x9, x9, :lo12:found
    stp     x0, x1, [x9], #16
    stp     x2, x3, [x9], #16
    mrs     x10, SCTLR_EL1
    mov     x11, sp
    stp     x10, x11, [x9], #16
    mrs     x10, CPACR_EL1
    mrs     x11, VBAR_EL1
    stp     x10, x11, [x9], #16
    mrs     x10, DAIF
    mrs     x11, SPSel
    stp     x10, x11, [x9]
    mov     x10, #3 << 20
    msr     CPACR_EL1, x10
    isb
    msr     SPSel, #1
    ldr     x10, =stacks + STACK
    mov     sp, x10
    ldr     x10, =bss_start
    ldr     x11, =bss_end
1:  cmp     x10, x11
    b.hs    2f
    stp     xzr, xzr, [x10], #16
    b       1b
2:  ldr     x10, =vectors
    msr     VBAR_EL1, x10
    isb
    bl      program
    mov     w0, #0x0008
    movk    w0, #0x8400, lsl #16
    hvc     #0
    b       .

    // CPU_ON lands here with its context in x0.
    .global secondary
secondary:
    mov     x10, #3 << 20
    msr     CPACR_EL1, x10
    ldr     x10, =vectors
    msr     VBAR_EL1, x10
    isb
    mrs     x11, MPIDR_EL1
    and     x11, x11, #0xff
    add     x11, x11, #1
    mov     x12, #STACK
    ldr     x10, =stacks
    madd    x10, x11, x12, x10
    mov     sp, x10
    bl      secondary_program
1:  wfe
    b       1b

    .weak secondary_program
secondary_program:
    ret

    // Everything saved, FP too, in a frame that `trap` may change: x0..x30, sp_el0, elr, spsr, q0..q31.
    .macro  entry number
    .balign 0x80
    sub     sp, sp, #0x320
    stp     x0, x1, [sp]
    mov     x0, #\number
    b       enter
    .endm

    .text
    .balign 0x800
    .global vectors
vectors:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    entry   \n
    .endr
enter:
    stp     x2, x3, [sp, #0x10]
    stp     x4, x5, [sp, #0x20]
    stp     x6, x7, [sp, #0x30]
    stp     x8, x9, [sp, #0x40]
    stp     x10, x11, [sp, #0x50]
    stp     x12, x13, [sp, #0x60]
    stp     x14, x15, [sp, #0x70]
    stp     x16, x17, [sp, #0x80]
    stp     x18, x19, [sp, #0x90]
    stp     x20, x21, [sp, #0xa0]
    stp     x22, x23, [sp, #0xb0]
    stp     x24, x25, [sp, #0xc0]
    stp     x26, x27, [sp, #0xd0]
    stp     x28, x29, [sp, #0xe0]
    mrs     x2, SP_EL0
    stp     x30, x2, [sp, #0xf0]
    mrs     x2, ELR_EL1
    mrs     x3, SPSR_EL1
    stp     x2, x3, [sp, #0x100]
    add     x2, sp, #0x120
    stp     q0, q1, [x2], #32
    stp     q2, q3, [x2], #32
    stp     q4, q5, [x2], #32
    stp     q6, q7, [x2], #32
    stp     q8, q9, [x2], #32
    stp     q10, q11, [x2], #32
    stp     q12, q13, [x2], #32
    stp     q14, q15, [x2], #32
    stp     q16, q17, [x2], #32
    stp     q18, q19, [x2], #32
    stp     q20, q21, [x2], #32
    stp     q22, q23, [x2], #32
    stp     q24, q25, [x2], #32
    stp     q26, q27, [x2], #32
    stp     q28, q29, [x2], #32
    stp     q30, q31, [x2]
    mrs     x2, FPSR
    mrs     x3, FPCR
    stp     x2, x3, [sp, #0x110]
    mov     x1, sp
    bl      trap
    .global resume
resume:
    ldp     x2, x3, [sp, #0x110]
    msr     FPSR, x2
    msr     FPCR, x3
    add     x2, sp, #0x120
    ldp     q0, q1, [x2], #32
    ldp     q2, q3, [x2], #32
    ldp     q4, q5, [x2], #32
    ldp     q6, q7, [x2], #32
    ldp     q8, q9, [x2], #32
    ldp     q10, q11, [x2], #32
    ldp     q12, q13, [x2], #32
    ldp     q14, q15, [x2], #32
    ldp     q16, q17, [x2], #32
    ldp     q18, q19, [x2], #32
    ldp     q20, q21, [x2], #32
    ldp     q22, q23, [x2], #32
    ldp     q24, q25, [x2], #32
    ldp     q26, q27, [x2], #32
    ldp     q28, q29, [x2], #32
    ldp     q30, q31, [x2]
    ldp     x2, x3, [sp, #0x100]
    msr     ELR_EL1, x2
    msr     SPSR_EL1, x3
    ldp     x30, x2, [sp, #0xf0]
    msr     SP_EL0, x2
    ldp     x28, x29, [sp, #0xe0]
    ldp     x26, x27, [sp, #0xd0]
    ldp     x24, x25, [sp, #0xc0]
    ldp     x22, x23, [sp, #0xb0]
    ldp     x20, x21, [sp, #0xa0]
    ldp     x18, x19, [sp, #0x90]
    ldp     x16, x17, [sp, #0x80]
    ldp     x14, x15, [sp, #0x70]
    ldp     x12, x13, [sp, #0x60]
    ldp     x10, x11, [sp, #0x50]
    ldp     x8, x9, [sp, #0x40]
    ldp     x6, x7, [sp, #0x30]
    ldp     x4, x5, [sp, #0x20]
    ldp     x2, x3, [sp, #0x10]
    ldp     x0, x1, [sp]
    add     sp, sp, #0x320
    eret

    // `trap` of a program that expects none.
    .weak   trap
trap:
    b       unexpected

    .data
    .balign 16
    .global found
found:
    .space  80

    .bss
    .balign 16
stacks:
    .space  STACK * 8
    .global frames_end
frames_end:
