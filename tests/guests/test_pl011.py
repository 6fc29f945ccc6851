"""The UART, register by register as DDI 0183 has it."""

from __future__ import annotations

from vgicd_machine.board.pl011 import FIFO_DEPTH, OE, RT, RX, TX, Pl011

DR, RSR, FR, LCRH, CR, IFLS, IMSC, RIS, MIS, ICR = 0x00, 0x04, 0x18, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44
RXFE, RXFF, TXFE = 0x10, 0x40, 0x80
FEN = 0x10
LBE = 0x80


def uart() -> tuple[Pl011, bytearray, list[int]]:
    sent, line = bytearray(), list[int]()
    return Pl011(sent.append, line.append), sent, line


def test_characters_are_sent_at_once() -> None:
    port, sent, _ = uart()
    port.write(DR, 4, 0x141)
    assert sent == b"A"
    assert port.read(FR, 4) == TXFE | RXFE


def test_transmit_interrupt_is_a_level_until_cleared() -> None:
    port, _, line = uart()
    port.write(DR, 1, ord("x"))
    assert port.read(RIS, 4) == TX
    assert port.read(MIS, 4) == 0
    assert line == [], "masked"
    port.write(IMSC, 4, TX)
    port.write(DR, 1, ord("y"))
    assert line == [1]
    assert port.read(MIS, 4) == TX
    port.write(ICR, 4, TX)
    assert line == [1, 0]
    port.write(DR, 1, ord("z"))
    port.write(IMSC, 4, 0)
    assert line == [1, 0, 1, 0]


def test_nothing_sent_nothing_pending() -> None:
    port, _, line = uart()
    port.write(IMSC, 4, TX)
    assert port.read(RIS, 4) == 0
    assert line == []


def test_receiver_without_fifo_holds_one_character() -> None:
    port, _, _ = uart()
    port.receive(b"ab")
    assert port.read(FR, 4) & (RXFE | RXFF) == RXFF
    assert port.read(DR, 4) == ord("a")
    assert port.read(FR, 4) & (RXFE | RXFF) == RXFE, "the second was lost"


def test_receive_interrupts_by_level_and_by_timeout() -> None:
    port, _, line = uart()
    port.write(LCRH, 4, FEN)
    port.write(IFLS, 4, 0)  # an eighth: 2 characters
    port.write(IMSC, 4, RX | RT)
    port.receive(b"a")
    assert port.read(RIS, 4) == RT
    port.receive(b"b")
    assert port.read(RIS, 4) == RT | RX
    assert port.read(DR, 4) == ord("a")
    assert port.read(RIS, 4) == RT
    assert port.read(DR, 4) == ord("b")
    assert port.read(RIS, 4) == 0
    assert line == [1, 0]


def test_fifo_takes_what_fits() -> None:
    port, _, _ = uart()
    port.write(LCRH, 4, FEN)
    assert port.room == FIFO_DEPTH
    port.receive(bytes(range(20)))
    assert port.room == 0
    assert [port.read(DR, 4) for _ in range(FIFO_DEPTH)] == list(range(FIFO_DEPTH))


def test_registers_keep_their_bits() -> None:
    port, _, _ = uart()
    for offset, mask in {0x24: 0xFFFF, 0x28: 0x3F, LCRH: 0xFF, IFLS: 0x3F, IMSC: 0x7FF, 0x48: 7}.items():
        port.write(offset, 4, 0xFFFF_FFFF)
        assert port.read(offset, 4) == mask
    port.write(RIS, 4, 0x7FF)
    assert port.read(RIS, 4) == 0, "read-only"


def test_identification() -> None:
    port, _, _ = uart()
    assert bytes(port.read(0xFE0 + 4 * n, 4) for n in range(8)) == bytes.fromhex("1110140 00df005b1".replace(" ", ""))


def test_what_is_left_below_the_trigger_level_has_timed_out() -> None:
    port, _, line = uart()
    port.write(LCRH, 4, FEN)
    port.write(IFLS, 4, 0)
    port.write(IMSC, 4, RX | RT)
    port.receive(b"abc")
    assert port.read(RIS, 4) == RX
    port.read(DR, 4), port.read(DR, 4)
    assert port.read(RIS, 4) == RT, "a handler that reads while RX is set hears of the last one, too"
    assert line == [1]


def test_receive_interrupt_can_be_cleared_and_comes_with_the_next_character() -> None:
    port, _, line = uart()
    port.write(IMSC, 4, RX)
    port.receive(b"a")
    port.write(ICR, 4, RX)
    assert line == [1, 0]
    port.read(DR, 4)
    port.receive(b"b")
    assert line == [1, 0, 1]


def test_loop_back_receives_what_is_sent_and_nothing_goes_out() -> None:
    """DDI 0183, UARTCR.LBE: also the modem's outputs are its inputs."""
    port, sent, line = uart()
    port.write(IMSC, 4, RX | RT)
    port.write(CR, 4, LBE | 1 << 11 | 1 << 13)
    port.write(DR, 1, ord("x"))
    port.receive(b"from outside")
    assert (sent, line) == (b"", [1])
    assert port.read(DR, 4) == ord("x")
    assert port.read(FR, 4) == TXFE | RXFE | 0x101
    port.write(CR, 4, 0x301)
    port.write(DR, 1, ord("y"))
    assert (sent, port.read(FR, 4)) == (b"y", TXFE | RXFE)


def test_an_overrun_is_told_until_it_is_cleared() -> None:
    port, _, line = uart()
    port.write(IMSC, 4, OE)
    port.write(CR, 4, LBE)
    port.write(DR, 4, ord("a"))
    assert line == []
    port.write(DR, 4, ord("b"))
    assert (line, port.read(RSR, 4), port.read(RIS, 4) & OE) == ([1], 8, OE)
    port.write(RSR, 4, 0)
    port.write(ICR, 4, OE)
    assert (line, port.read(RSR, 4), port.read(DR, 4)) == ([1, 0], 0, ord("a"))


def test_registers_are_read_by_byte_and_halfword() -> None:
    port, _, _ = uart()
    port.receive(b"q")
    assert port.read(DR + 2, 2) == 0, "takes nothing out"
    assert port.read(DR, 1) == ord("q")
    port.write(0x24, 2, 0x1234)
    assert [port.read(0x24 + n, 1) for n in range(4)] == [0x34, 0x12, 0, 0]
