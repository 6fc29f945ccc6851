"""What is read from the guest's console, and what is passed on."""

from __future__ import annotations

import pytest

from vgicd_machine.host.console import Console, Verdict


def speak(text: bytes) -> tuple[Console, list[str], list[bytes]]:
    lines, written = list[str](), list[bytes]()
    console = Console(lines.append, written.append)
    for byte in text:
        console.transmit(byte)
    return console, lines, written


def test_every_byte_is_passed_on_at_once_as_it_is() -> None:
    _, _, written = speak(b"50%\r60%\r\n=> \xff")
    assert b"".join(written) == b"50%\r60%\r\n=> \xff"


def test_lines_are_passed_on_when_complete() -> None:
    console, lines, _ = speak(b"one\r\ntwo")
    assert lines == ["one\n"]
    console.flush()
    console.flush()
    assert lines == ["one\n", "two"]


def test_status_and_verdicts_are_read() -> None:
    console, _, _ = speak(b"PASS timer-ppi\nFAIL sgi: the sources seen are 0x2\nEXIT: STATUS=3\r\n")
    assert console.verdicts == [Verdict("timer-ppi", True, ""), Verdict("sgi", False, "the sources seen are 0x2")]
    assert console.status == 3


@pytest.mark.parametrize("text", [b" EXIT: STATUS=3\n", b"EXIT: STATUS=\n", b"PASSED x\n", b"we PASS this\n"])
def test_what_only_looks_alike_is_no_verdict(text: bytes) -> None:
    console, _, _ = speak(text)
    assert console.status is None
    assert console.verdicts == []


def test_endless_line_does_not_grow_for_ever() -> None:
    _, lines, written = speak(b"x" * 5000)
    assert [len(line) for line in lines] == [4096]
    assert len(written) == 5000


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    _, lines, _ = speak(b"\xff\n")
    assert lines == ["\ufffd\n"]
