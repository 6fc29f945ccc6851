// What runs at EL0. Every `svc` with a number in x8 is a system call; all else here is refused somehow.
    .section .user, "ax"
    .balign 4096
    .global user_start, user_end
user_start:
    mov     x19, #0x1234
    movi    v7.16b, #0x5a
    adds    xzr, x19, x19               // NZCV 0
    mov     x0, sp
    mov     x8, #1                      // tell x0
    svc     #0
    cmp     x0, x0                      // Z and C
    mov     x8, #2                      // tell SPSR
    svc     #0x1234
    mov     x8, #9                      // next thing
    svc     #0
    mov     x1, #0x40080000
    ldr     x0, [x1]                    // a privileged page
    svc     #0
    strb    w0, [x1, #3]
    svc     #0
    adr     x1, user_start
    str     x0, [x1]                    // a read-only page
    svc     #0
    brk     #77
    svc     #0
    .inst   0x00000000                  // UDF
    svc     #0
    mrs     x0, SCTLR_EL1
    svc     #0
    mrs     x0, DAIF
    svc     #0
    msr     TTBR0_EL1, x0
    svc     #0
    hvc     #0
    svc     #0
    smc     #0
    svc     #0
    mrs     x0, CNTVCT_EL0
    svc     #0
    mrs     x0, CNTFRQ_EL0
    svc     #0
    mrs     x0, CNTV_CTL_EL0
    svc     #0
    mrs     x0, CTR_EL0
    svc     #0
    adr     x1, user_start
    ic      ivau, x1
    svc     #0
    dc      civac, x1
    svc     #0
    dc      ivac, x1
    svc     #0
    tlbi    vmalle1
    svc     #0
    wfi
    svc     #0
    wfe
    svc     #0
    eret
    svc     #0
    movi    v0.4s, #1
    svc     #0
    mov     x20, sp
    add     x1, sp, #4
    mov     sp, x1
    ldr     x0, [sp]                    // SP alignment
    svc     #0
    mov     sp, x20
    adr     x30, 1f
    mov     x1, #0x40000000
    add     x1, x1, #2
    br      x1                          // PC alignment
1:  svc     #0
    adr     x30, 1f
    mov     x1, #0x40000000
    br      x1                          // may not be executed from EL0
1:  svc     #0
    ldr     x0, =0x6000000000
    ldr     x0, [x0, #24]               // beyond the table
    svc     #0
    ldxr    x0, [sp]
    stxr    w1, x0, [sp]
    mov     x0, x1
    mov     x8, #1
    svc     #0
    mrs     x0, TPIDRRO_EL0
    svc     #0
    // now the ticks: registers of all kinds must stay
    mov     x8, #3
    svc     #0
    mov     x21, #0
    movi    v8.2d, #0
    mov     x22, #1
    dup     v9.2d, x22
    cmp     xzr, xzr
2:  add     x21, x21, #1
    add     v8.2d, v8.2d, v9.2d
    b.ne    3f                          // the flags must stay too
    ldr     x23, [sp, #8]               // the handler counts there
    sub     x23, x23, #20
    cbnz    x23, 2b
    umov    x0, v8.d[1]
    sub     x0, x0, x21
    mov     x8, #1
    svc     #0
    sub     x19, x19, #0x1000
    cmp     x19, #0x234
    cset    x0, eq
    svc     #0
    umov    w0, v7.b[15]
    svc     #0
3:  mov     x8, #4                      // exit
    svc     #0
    b       .
    .ltorg
    .balign 4096
user_end:
