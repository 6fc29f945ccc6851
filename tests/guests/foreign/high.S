// Linked at a high virtual address, loaded low, entered by its physical address: the MMU comes first.
    .section .head, "ax"
    .global _start
_start:
    adrp    x0, tables
    add     x0, x0, :lo12:tables
    add     x1, x0, #4096
    // TTBR0: identity by 1 GiB blocks (devices, RAM); TTBR1: the same from 0xffffff8000000000
    mov     x2, #0x401                  // device, access flag, block
    str     x2, [x0]
    str     x2, [x1]
    mov     x3, #0x40000000
    mov     x2, #0x705
    orr     x2, x2, x3
    str     x2, [x0, #8]
    str     x2, [x1, #8]
    mov     x2, #0xff00
    msr     MAIR_EL1, x2
    ldr     x2, =25 | 25 << 16 | 0x3500 | 0x35 << 24 | 2 << 30 | 1 << 32
    msr     TCR_EL1, x2
    msr     TTBR0_EL1, x0
    msr     TTBR1_EL1, x1
    tlbi    vmalle1
    dsb     sy
    isb
    mrs     x2, SCTLR_EL1
    orr     x2, x2, #1
    orr     x2, x2, #1 << 2
    orr     x2, x2, #1 << 12
    msr     SCTLR_EL1, x2
    isb
    ldr     x2, =upstairs
    br      x2
upstairs:
    mov     x2, #3 << 20
    msr     CPACR_EL1, x2
    msr     TTBR0_EL1, xzr              // nothing is low any more
    mrs     x2, TCR_EL1
    orr     x2, x2, #1 << 7             // EPD0
    msr     TCR_EL1, x2
    isb
    tlbi    vmalle1
    dsb     sy
    isb
    ldr     x2, =stack_top
    mov     sp, x2
    ldr     x2, =high_vectors
    msr     VBAR_EL1, x2
    isb
    bl      program
    mov     w0, #0x0008
    movk    w0, #0x8400, lsl #16
    hvc     #0
    b       .
    .ltorg
    .text
    .balign 0x800
high_vectors:
    .rept   16
    .balign 0x80
    b       caught
    .endr
caught:
    sub     sp, sp, #176
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    bl      interrupted
    ldp     x18, x30, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #176
    eret
    .bss
    .balign 4096
tables:
    .space  8192
    .space  16384
stack_top:
