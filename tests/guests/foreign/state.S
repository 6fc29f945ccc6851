// A computation whose every register, flag and vector matters, to be interrupted anywhere.
    .text
    .global churn
    // x0 rounds; yields a digest of all it has computed. Nothing of it is in memory.
churn:
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov     x\n, #\n * 257
    .endr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    dup     v\n\().2d, x30
    .endr
    cmp     x0, x0
1:  .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29
    adc     x\n, x\n, x30
    .endr
    adcs    x30, x30, x29
    eor     x30, x30, x1, ror #7
    .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     v\n\().2d, v\n\().2d, v0.2d
    .endr
    eor     v0.16b, v31.16b, v17.16b
    ins     v3.d[1], x30
    sub     x0, x0, #1
    cbnz    x0, 1b
    cset    x0, cs
    .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ror     x0, x0, #1
    eor     x0, x0, x\n
    .endr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    umov    x1, v\n\().d[0]
    umov    x2, v\n\().d[1]
    eor     x0, x1, x0, ror #9
    eor     x0, x2, x0, ror #11
    .endr
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp], #96
    ret

    // The same on the stack of SP_EL0: x0 rounds, x1 the stack; interrupts come through the first vectors.
    .global churn_sp0
churn_sp0:
    stp     x29, x30, [sp, #-16]!
    msr     SP_EL0, x1
    msr     SPSel, #0
    bl      churn
    msr     SPSel, #1
    ldp     x29, x30, [sp], #16
    ret
