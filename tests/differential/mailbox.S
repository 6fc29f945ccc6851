// A guest that makes every CPU of the machine execute accesses from one script in RAM, in its order.
//
// CPU 0 starts here and starts the others through PSCI. Each CPU then takes the entries one after the other: the CPU
// that an entry names waits until all have finished the entry before, performs the access and announces it; then
// every CPU stores its ISR_EL1 (which interrupt lines are asserted, bit 7 IRQ, bit 6 FIQ) with the entry. Interrupts
// stay masked. YIELD hands a single-threaded QEMU over to the next CPU.
//
// Control block at CONTROL, 32-bit words:
//   0x00 entries written    0x04 entries performed    0x08 CPUs in the machine
//   0x40 + 4 * cpu          entries that this CPU has sampled
// Entry n at SCRIPT + 32 * (n mod 256):
//   0x00 u32 CPU   0x04 u32 kind: 0 none, 1 ldr, 2 str, 3 ldrb, 4 strb   0x08 u64 address   0x10 u64 value
//   0x18 u8 ISR_EL1 of each CPU

        .equ CONTROL, 0x40300000
        .equ SCRIPT, 0x40310000
        .equ PSCI_CPU_ON, 0xc4000003

        .text
start:  movz    x20, #(CONTROL >> 16), lsl #16
        movz    x21, #(SCRIPT >> 16), lsl #16
        mrs     x19, mpidr_el1
        and     x19, x19, #0xff
        cbnz    x19, ready

        mov     x22, #1
1:      ldr     w23, [x20, #0x08]
        cmp     w22, w23
        b.hs    ready
        movz    x0, #(PSCI_CPU_ON >> 16), lsl #16
        movk    x0, #(PSCI_CPU_ON & 0xffff)
        mov     x1, x22
        adr     x2, start
        mov     x3, #0
        hvc     #0
        add     x22, x22, #1
        b       1b

ready:  mov     w24, #0                         // entries taken by this CPU

next:   ldr     w0, [x20]
        cmp     w0, w24
        b.ne    take
        yield
        b       next

take:   and     w1, w24, #0xff
        add     x25, x21, x1, lsl #5
        ldr     w0, [x25]
        cmp     w0, w19
        b.ne    others

        mov     x1, #0                          // all have sampled the entry before
2:      ldr     w2, [x20, #0x08]
        cmp     w1, w2
        b.hs    perform
        add     x3, x20, x1, lsl #2
        ldr     w3, [x3, #0x40]
        cmp     w3, w24
        b.ne    3f
        add     x1, x1, #1
        b       2b
3:      yield
        b       2b

perform:
        ldr     w2, [x25, #0x04]
        ldr     x3, [x25, #0x08]
        ldr     x4, [x25, #0x10]
        cmp     w2, #1
        b.eq    4f
        cmp     w2, #2
        b.eq    5f
        cmp     w2, #3
        b.eq    6f
        cmp     w2, #4
        b.ne    done
        strb    w4, [x3]
        b       done
4:      ldr     w4, [x3]
        b       done
5:      str     w4, [x3]
        b       done
6:      ldrb    w4, [x3]
done:   str     x4, [x25, #0x10]
        dsb     sy
        add     w5, w24, #1
        str     w5, [x20, #0x04]
        b       sample

others: ldr     w0, [x20, #0x04]
        cmp     w0, w24
        b.ne    sample
        yield
        b       others

sample: isb
        mrs     x0, isr_el1
        add     x1, x25, x19
        strb    w0, [x1, #0x18]
        dsb     sy
        add     w24, w24, #1
        add     x1, x20, x19, lsl #2
        str     w24, [x1, #0x40]
        b       next
