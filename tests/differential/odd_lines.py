"""Lines of the qtest protocol, odd and ordinary, and what is known of QEMU's answers to them.

`SAME` is one program: each line is sent to both servers, and everything that either says must be the same.
`DIFFERENT` are the lines that are answered differently on purpose, and why.  `DEADLY` are those at which QEMU 7.2
ends itself, or never answers again; vgicd says what is wrong and goes on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

GIC: Final = b"/machine/unattached/device[1]"
CPU: Final = b"/machine/unattached/device[0]"
PRIORITIES: Final = b"0x8000400"

NUMBERS: Final = (
    *(b"readl 0x8000004", b"readl 134217732", b"readl 0X8000004", b"readl 01000000004", b"readl +0x8000004"),
    *(b"readl \t0x8000004", b"readl \x0b0x8000004", b"readl \x0c\r\t0x8000004", b"readl 0x00000000000000000008000004"),
    *(b"readl -1", b"readl -0x1", b"readl -18446744073575333884", b"readl 0xFFFFFFFFFFFFFFFF", b"readl 0"),
    *(b"readl -18446744073709551615", b"readb 18446744073709551615", b"readq 0xfffffffffffffffc"),
)
WORDS: Final = (
    *(b"READL 0x8000004", b" readl 0x8000004", b" ", b"readl\t0x8000004", b"readl 0x8000004 ", b"readl 0x8000004 more"),
    *(b"endianness", b"endianness x", b"endianness ", b"endianness\r", b"endiannes", b"help", b"quit", b"OK", b"FAIL"),
    *(b"\xff\xfe", b"'%s'", b"rtas", b"rtas foo 1 0x0 1 0x0", b"set_irq_out", b"module_load a b", b"x" * 5000),
    *(b"writel 0x8000000 1 2 3", b"readl 0x8000000"),
)
WIDTHS: Final = (
    *(b"writel 0x8000000 0x100000001", b"readl 0x8000000", b"readq 0x8000000", b"writeq 0x8000ffc -1"),
    *(b"writeb %s 0x1ff" % PRIORITIES, b"readb %s" % PRIORITIES, b"writeb 0x8000403 0x12345", b"readl %s" % PRIORITIES),
    *(b"writeq %s 0x123456789abcdef0" % PRIORITIES, b"readq %s" % PRIORITIES, b"readb 0x8000405"),
    *(b"writel %s -1" % PRIORITIES, b"readl %s" % PRIORITIES),
)
NOWHERE: Final = (
    *(b"readl 0x0c000000", b"readb 0x0c000000", b"writel 0x0c000000 1", b"readq 0x8001000", b"readl 0x800fffc"),
    *(b"readl 0x8012000", b"readl 0x8030000", b"writel 0x8030000 1", b"readl 0x8040000", b"readl 0x100000000000"),
    *(b"inb 0x8", b"inw 0x8", b"inl 0x8", b"outb 0x8 1", b"outw 0x8 0x12345", b"outl 0 -1", b"inb 0x8 junk"),
)
BLOCKS: Final = (
    *(b"write %s 4 0x10203040" % PRIORITIES, b"readl %s" % PRIORITIES, b"read %s 4" % PRIORITIES),
    *(b"read %s 5" % PRIORITIES, b"read 0x8000401 2", b"read %s 010" % PRIORITIES, b"read %s +4" % PRIORITIES),
    *(b"write 0x8000401 2 0xa0b0", b"readl %s" % PRIORITIES, b"write %s 4 0x50" % PRIORITIES, b"readl %s" % PRIORITIES),
    *(b"write %s 1 0x5060708090" % PRIORITIES, b"readl %s" % PRIORITIES, b"write %s 4 0Xa0b0C0D0" % PRIORITIES),
    *(b"readl %s" % PRIORITIES, b"write %s 4 xxzz08z08z" % PRIORITIES, b"readl %s" % PRIORITIES),
    *(b"write %s 4 0x1" % PRIORITIES, b"readl %s" % PRIORITIES, b"write %s 4 0x" % PRIORITIES),
    *(b"write %s 4 0" % PRIORITIES, b"write %s 0 0x08" % PRIORITIES, b"write %s 0 0" % PRIORITIES),
    *(b"write %s 4 0x08 junk" % PRIORITIES, b"read %s 16" % PRIORITIES, b"memset %s 4 0x90" % PRIORITIES),
    *(b"readq %s" % PRIORITIES, b"memset %s 4 -1" % PRIORITIES, b"memset %s 4 0x188" % PRIORITIES),
    *(b"readl %s" % PRIORITIES, b"memset %s 0 1" % PRIORITIES, b"b64read %s 4" % PRIORITIES),
    *(b"b64read %s 0" % PRIORITIES, b"b64read %s 9" % PRIORITIES, b"b64write %s 4 kJCQkA==" % PRIORITIES),
    *(b"readl %s" % PRIORITIES, b"b64write %s 1 CAgICA==" % PRIORITIES, b"readl %s" % PRIORITIES),
    *(b"b64write %s 0 kJCQkA==" % PRIORITIES, b"b64write %s 4 kK-Cg*s_DQ==" % PRIORITIES, b"readl %s" % PRIORITIES),
)
WIRES: Final = (
    *(b"set_irq_in nosuch unnamed-gpio-in 0 1", b"set_irq_in nosuch x y z", b"irq_intercept_in nosuch"),
    *(b"irq_intercept_out nosuch", b"irq_intercept_in ", b"irq_intercept_in DEVICE[1]", b"irq_intercept_in [1]"),
    *(b"irq_intercept_in /machine/unattached/./device[1]", b"set_irq_in %s unnamed-gpio-in 0 1" % GIC),
    *(b"set_irq_in device[1] unnamed-gpio-in 0x0 0", b"set_irq_in unattached/device[1] unnamed-gpio-in 0 1"),
    *(b"set_irq_in machine/unattached/device[1] unnamed-gpio-in 0 0", b"set_irq_in %s/ unnamed-gpio-in 0 1" % GIC),
    *(b"set_irq_in /machine//unattached/device[1] unnamed-gpio-in 0 0 junk",),
    *(b"set_irq_in %s unnamed-gpio-in 255 1" % GIC, b"set_irq_in %s unnamed-gpio-in 255 0" % GIC),
    *(b"set_irq_in %s unnamed-gpio-in 0 0x7fffffff" % GIC, b"set_irq_in %s unnamed-gpio-in 0 -0x80000000" % GIC),
    *(b"set_irq_in %s unnamed-gpio-in 0 0" % GIC, b"writel 0x8000280 0xffffffff", b"writel 0x8000284 0xffffffff"),
)
SPI: Final = b"set_irq_in %s unnamed-gpio-in 0 %d"
SIGNALS: Final = (
    *(b"writel 0x8000000 3", b"writel 0x8010000 7", b"writel 0x8010004 0xff", b"writel 0x8000104 0xffffffff"),
    *(b"writel 0x8000c08 0xaaaaaaaa", b"writel 0x8000420 0xa0a0a0a0", SPI % (GIC, 1)),
    # intercepted while high: told at the next write, not before
    *(b"irq_intercept_in %s" % CPU, b"readl 0x8010018", b"writel 0x8000000 3", b"readl 0x8010018"),
    *(b"irq_intercept_in %s" % CPU, b"irq_intercept_out device[0]", b"irq_intercept_in %s" % GIC),
    *(b"irq_intercept_in nosuch", b"readl 0x801000c", b"readl 0x801000c", SPI % (GIC, 0), b"writel 0x8010010 0x20"),
    *(b"writel 0x8000f00 0x2000001", b"read 0x801000c 8", b"writel 0x8010010 1", SPI % (GIC, 1)),
    *(b"writeq 0x8010000 0xf800000000", b"writeq 0x8010000 0xf800000007", b"writel 0x8000184 1"),
    *(b"writel 0x8000104 1", b"readl 0x801000c", b"writel 0x8010010 0x20", SPI % (GIC, 0), b"readl 0x8000204"),
    *(b"writel 0x8000080 0xffffffff", b"writel 0x8010000 0xf", b"set_irq_in %s unnamed-gpio-in 283 1" % GIC),
    *(b"writel 0x8000100 0x8000000", b"writel 0x8000080 0", b"writel 0x8000180 0x8000000"),
    *(b"set_irq_in %s unnamed-gpio-in 283 0" % GIC, b"set_irq_in %s unnamed-gpio-in 287 1" % GIC),
    *(b"set_irq_in %s unnamed-gpio-in 287 0" % GIC, b"set_irq_in %s unnamed-gpio-in 272 0" % GIC),
)
SAME: Final = (*NUMBERS, *WORDS, *WIDTHS, *NOWHERE, *BLOCKS, *WIRES, *SIGNALS)

INPUTS: Final = (
    *(b"irq_intercept_in %s" % GIC, b"set_irq_in %s unnamed-gpio-in 7 1" % GIC),
    *(b"set_irq_in %s unnamed-gpio-in 7 %d" % (GIC, level) for level in (1, 2, 2, -5, 1, 0, 0, 1, 0)),
    *(b"irq_intercept_out %s" % GIC, b"irq_intercept_in %s" % CPU),
)
"""Of a machine that is intercepted anew, like the next."""

OUTPUTS: Final = (b"irq_intercept_out %s" % GIC, b"set_irq_in %s unnamed-gpio-in 7 1" % GIC)


class Different(NamedTuple):
    """A line, the pattern that vgicd's answer matches, the one that QEMU's does, and why they differ."""

    line: bytes
    ours: bytes
    theirs: bytes
    why: str


_NO_RAM: Final = "vgicd has no RAM: a block that is not the GIC's would be lost without a word"
_WIDTH: Final = "entry `width` of the divergences: unaligned words come as bytes and halfwords, which a GICv2 refuses"
_NO_TICKS: Final = "Debian's QEMU has these commands only with the accelerator that it is built without"
_RESIDUE: Final = "QEMU fills up with what its buffer held before"
DIFFERENT: Final = (
    Different(b"clock_step 100", rb"OK 100\n", rb"FAIL Unknown command 'clock_step'\n", _NO_TICKS),
    Different(b"clock_set 250", rb"OK 250\n", rb"FAIL Unknown command 'clock_set'\n", _NO_TICKS),
    Different(b"readl 0x8000ff1", rb"OK 0x0{16}\n", rb"OK 0x00000000f0000000\n", _WIDTH),
    Different(b"readl 0x10000000", rb"OK 0x0{16}\n", rb"OK 0x00000000ffffffff\n", "vgicd has no PCI window"),
    Different(b"write 0x40000000 4 0x01020304", rb"FAIL There is no memory at .*\n", rb"OK\n", _NO_RAM),
    Different(b"read 0x40000000 4", rb"FAIL There is no memory at .*\n", rb"OK 0x01020304\n", _NO_RAM),
    Different(b"memset 0x40000000 4 1", rb"FAIL There is no memory at .*\n", rb"OK\n", _NO_RAM),
    Different(b"b64read 0x40000000 4", rb"FAIL There is no memory at .*\n", rb"OK AQEBAQ==\n", _NO_RAM),
    Different(b"read 0x0c000000 4", rb"FAIL There is no memory at .*\n", rb"OK 0x00000000\n", _NO_RAM),
    Different(b"read 0x8000ff8 16", rb"FAIL The block leaves GICD.*\n", rb"OK 0x\w{32}\n", _NO_RAM),
    Different(
        b"read 0x8000000 0x2000",
        rb"FAIL A block has at most 4096 bytes here\.\n",
        rb"OK 0x\w+\n",
        "one client must not keep the others waiting",
    ),
    Different(b"b64write 0x8000400 4 kJCQkJ", rb"FAIL DATA is not base64: .*\n", rb"OK\n", _RESIDUE),
    Different(b"b64write 0x8000400 4 kJCQ", rb"FAIL DATA holds 3 bytes, and SIZE is 4\.\n", rb"OK\n", _RESIDUE),
    Different(
        b"set_irq_in %s unnamed-gpio-in 0 1" % CPU,
        rb"FAIL A CPU's inputs are the GIC's outputs here.*\n",
        rb"OK\n",
        "vgicd has no CPU: nothing else would be driven by it",
    ),
    Different(
        b"y" * 70_000,
        rb"FAIL A line has at most 65536 bytes\.\n",
        rb"FAIL Unknown command 'y{70000}'\n",
        "a peer's line costs a bounded amount of memory; the connection ends",
    ),
)


class Deadly(NamedTuple):
    """A line at which QEMU ends, and the pattern of what vgicd says behind FAIL."""

    line: bytes
    ours: bytes


_NUMBER: Final = rb"ADDRESS is a number, decimal or with 0x before it, not .*"
_INPUT: Final = rb"The GIC has no input -?\d+: they are 0 to 255 for SPIs, 256 to 287 for PPIs\."
DEADLY: Final = (
    Deadly(b"", rb"A line is a command and its parameters, in text\."),
    Deadly(b"readl 0x8000004\0", rb"ADDRESS is a number.*"),
    Deadly(b"readl", rb"readl takes ADDRESS\."),
    Deadly(b"writel 0x8000000", rb"writel takes ADDRESS VALUE\."),
    Deadly(b"write 0x40000000 4", rb"write takes ADDRESS SIZE DATA\."),
    Deadly(b"readl  0x8000004", _NUMBER),
    Deadly(b"readl 0x8000004\r", _NUMBER),
    Deadly(b"readl 0x8000004x", _NUMBER),
    Deadly(b"set_irq_in", rb"set_irq_in takes PATH unnamed-gpio-in N LEVEL\."),
    Deadly(b"set_irq_in %s foo 0 1" % GIC, rb"Inputs have no name here: write unnamed-gpio-in, not 'foo'\."),
    Deadly(b"set_irq_in %s unnamed-gpio-in 288 1" % GIC, _INPUT),
    Deadly(b"set_irq_in %s unnamed-gpio-in 256 1" % GIC, rb"INTID 0: an SGI has no line: write GICD_SGIR\."),
    Deadly(b"irq_intercept_in /machine", rb"Unknown device"),
    Deadly(b"read 0x8000000 -4", rb"A block has at most 4096 bytes here\."),
    *(Deadly(b"readl %s" % word, _NUMBER) for word in (b"x", b"0x", b"08", b"0b11", b"''", b"- 1", b"--1", b"\xff")),
    Deadly(b"readl 0x8000004\x0b", _NUMBER),
    Deadly(b"readl 0x1ffffffffffffffff", rb"ADDRESS has at most 64 bits\."),
    Deadly(b"readl -18446744073709551616", rb"ADDRESS has at most 64 bits\."),
    Deadly(b"writel 0x8000000 x", rb"VALUE is a number.*"),
    Deadly(b"write 0x8000400 x 0x01", rb"SIZE is a number.*"),
    Deadly(b"read 0x8000400 0", rb"SIZE is at least 1\."),
    Deadly(b"write 0x8000400 -1 0x01", rb"A block has at most 4096 bytes here\."),
    Deadly(b"memset 0x8000400 4", rb"memset takes ADDRESS SIZE VALUE\."),
    Deadly(b"memset 0x8000400 4 x", rb"VALUE is a number.*"),
    Deadly(b"b64read x 4", _NUMBER),
    Deadly(b"b64write 0x8000400 4", rb"b64write takes ADDRESS SIZE DATA\."),
    Deadly(b"inb 0x10000", rb"PORT is 0 to 0xffff\."),
    Deadly(b"outb 0", rb"outb takes PORT VALUE\."),
    Deadly(b"module_load a", rb"module_load takes PREFIX NAME\."),
    Deadly(b"irq_intercept_in", rb"irq_intercept_in takes PATH\."),
    Deadly(b"irq_intercept_out", rb"irq_intercept_out takes PATH\."),
    Deadly(b"set_irq_in / unnamed-gpio-in 0 1", rb"Unknown device"),
    Deadly(b"set_irq_in %s unnamed-gpio-in x 1" % GIC, rb"N is a number.*"),
    Deadly(b"set_irq_in %s unnamed-gpio-in -1 1" % GIC, _INPUT),
    Deadly(b"set_irq_in %s unnamed-gpio-in 0 0x80000000" % GIC, rb"LEVEL is -2147483648 to 2147483647\."),
    Deadly(b"set_irq_in %s unnamed-gpio-in 4 1" % CPU, rb"A CPU's inputs are the GIC's outputs here.*"),
)
