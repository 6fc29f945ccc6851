// Exclusive accesses in the ways that hand-written locks use them.
    .text
    // A ticket lock: next at [x0], owner at [x0, #4]; waits with WFE for the owner's STLR.
    .global ticket_take, ticket_leave
ticket_take:
    ldaxr   w1, [x0]
    add     w2, w1, #1
    stxr    w3, w2, [x0]
    cbnz    w3, ticket_take
    add     x4, x0, #4
    sevl
1:  wfe
    ldaxr   w2, [x4]
    cmp     w2, w1
    b.ne    1b
    ret
ticket_leave:
    ldr     w1, [x0, #4]
    add     w1, w1, #1
    add     x0, x0, #4
    stlr    w1, [x0]
    ret

    // A byte lock with SEVL/WFE, as of the architecture manual's examples.
    .global byte_take, byte_leave
byte_take:
    mov     w2, #1
    sevl
1:  wfe
2:  ldaxrb  w1, [x0]
    cbnz    w1, 1b
    stxrb   w1, w2, [x0]
    cbnz    w1, 2b
    ret
byte_leave:
    stlrb   wzr, [x0]
    dsb     ishst
    sev
    ret

    // 128 bits at once: x0 the address, both halves plus one; yields what the first was.
    .global pair_add
pair_add:
    ldaxp   x1, x2, [x0]
    add     x3, x1, #1
    add     x4, x2, #1
    stlxp   w5, x3, x4, [x0]
    cbnz    w5, pair_add
    mov     x0, x1
    ret

    // CLREX: the store that follows must fail.
    .global cleared
cleared:
    ldxr    x1, [x0]
    clrex
    stxr    w2, x1, [x0]
    mov     w0, w2
    ret

    // All sizes; yields what they make of it.
    .global sizes
sizes:
    mov     x9, x0
    ldxrh   w1, [x9]
    add     w1, w1, #3
    stxrh   w2, w1, [x9]
    ldaxr   x3, [x9]
    add     x3, x3, #0x10, lsl #12
    stlxr   w4, x3, [x9]
    ldar    x0, [x9]
    orr     w2, w2, w4
    add     x0, x0, w2, uxtw
    ldarb   w5, [x9]
    ldarh   w6, [x9]
    add     x0, x0, x5, lsl #32
    add     x0, x0, x6, lsl #40
    ret
