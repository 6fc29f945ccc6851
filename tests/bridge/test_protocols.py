"""The two text protocols of QEMU from the client's side: gdb's and qtest's, byte by byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd_bridge import qtest, rsp
from vgicd_bridge.qtest import Notice


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_packets_come_out_as_they_went_in_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    decoder = rsp.Decoder()
    data = b"+".join(map(rsp.encode, payloads))
    assert [packet for piece in pieces(data, cuts) for packet in decoder.feed(piece)] == payloads


def test_a_packet_waits_for_the_last_character_of_its_checksum() -> None:
    decoder = rsp.Decoder()
    assert decoder.feed(b"+$OK#9") == []
    assert decoder.feed(b"a$") == [b"OK"]


def test_runs_are_expanded_and_notifications_left_out() -> None:
    run = b"$0* #7a"  # gdb manual, "Overview": "0* " is "0000"
    assert rsp.Decoder().feed(b"%%Stop:#%02x" % rsp.checksum(b"Stop:") + run) == [b"0000"]


@pytest.mark.parametrize("data", [b"$OK#00", b"OK", b"$}#7d", b"$*a#8b", b"$" + b"x" * (rsp.LIMIT + 1)])
def test_what_is_no_packet_is_said(data: bytes) -> None:
    with pytest.raises(rsp.RspError):
        rsp.Decoder().feed(data)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_notices_and_answers_keep_their_order_however_they_are_cut(cuts: list[int]) -> None:
    decoder = qtest.Decoder()
    for piece in pieces(b"IRQ raise 1\nOK 0x1f\nIRQ lower 1\nOK\nIRQ raise 2\n", cuts):
        decoder.feed(piece)
    assert list(decoder.answers) == [0x1F, 0]
    assert list(decoder.notices) == [Notice(1, 1), Notice(1, 0), Notice(2, 1)]


@pytest.mark.parametrize(
    "line", [b"FAIL Unknown command 'x'\n", b"OK x\n", b"IRQ sideways 1\n", b"\n", b"y" * (1 << 17)]
)
def test_what_is_no_qtest_is_said(line: bytes) -> None:
    with pytest.raises(qtest.QtestError):
        qtest.Decoder().feed(line)


def test_commands_are_as_qemu_documents_them() -> None:
    """qtest.c: "read*", "write*", "set_irq_in", "irq_intercept_out"."""
    assert qtest.read(0x08000204) == "readl 0x8000204"
    assert qtest.write(0x09000000, 0x41, 1) == "writeb 0x9000000 0x41"
    assert qtest.drive("/machine/unattached/device[0]", 2, 1) == (
        "set_irq_in /machine/unattached/device[0] unnamed-gpio-in 2 1"
    )
    assert qtest.intercept("/machine/x") == "irq_intercept_out /machine/x"
