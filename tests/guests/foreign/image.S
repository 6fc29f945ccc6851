// An arm64 Linux Image by its header, position independent: finds where it is, relocates itself, moves itself, says so.
    .section .head, "ax"
    .global _start
_start:
    b       begin
    .long   0
    .quad   TEXT_OFFSET
    .quad   IMAGE_SIZE                  // with what it needs beyond the file
    .quad   0xa                         // little-endian, 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
begin:
    msr     DAIFSet, #15
    mov     x20, x0
    adr     x21, _start
    adrp    x0, stack_top
    add     x0, x0, :lo12:stack_top
    mov     sp, x0
    mov     x0, #3 << 20
    msr     CPACR_EL1, x0
    isb
    // relocations of a static PIE: R_AARCH64_RELATIVE
    adrp    x1, rela_start
    add     x1, x1, :lo12:rela_start
    adrp    x2, rela_end
    add     x2, x2, :lo12:rela_end
1:  cmp     x1, x2
    b.hs    2f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     w4, #1027
    b.ne    1b
    add     x5, x5, x21
    str     x5, [x21, x3]
    b       1b
2:  dsb     sy
    ic      iallu
    dsb     sy
    isb
    mov     x0, x20
    mov     x1, x21
    bl      program
    mov     w0, #0x0008
    movk    w0, #0x8400, lsl #16
    hvc     #0
    b       .
    .bss
    .balign 16
    .space  0x4000
stack_top:
