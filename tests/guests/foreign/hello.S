// A first program: no C, no stack, no vectors; a flat binary, linked nowhere in particular.
    .text
    .global _start
_start:
    mrs     x0, MPIDR_EL1
    tst     x0, #0xff
    b.ne    park
    mov     x1, #0x09000000
    adr     x2, text
1:  ldrb    w3, [x2], #1
    cbz     w3, 2f
3:  ldr     w4, [x1, #0x18]
    tbnz    w4, #5, 3b
    strb    w3, [x1]
    b       1b
2:  mov     w0, #0x0008
    movk    w0, #0x8400, lsl #16
    hvc     #0
park:
    wfe
    b       park
text:
    .asciz  "Hello, AArch64!\n"
