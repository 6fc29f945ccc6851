"""The RSP endpoint: a domain as gdb sees a program, without any input or output of its own.

vCPUs are threads, registers are typed memory, an interrupt's life is code at fake addresses, and the nesting of active
interrupts is the call stack.  Stock gdb needs no plugin and no file: the typed symbols are served over RSP, too.

    packets       bytes to packets and back
    arch          what each target architecture looks like to gdb
    layout        where everything lies in gdb's address space
    lifecycle     the edges of an interrupt's life, and their symbols
    registers, target_xml, memory, nesting
                  what gdb reads and writes
    monitor, osdata
                  what people ask in words
    breakpoints, run_control, stub
                  stopping, resuming, and the table of packets
"""
