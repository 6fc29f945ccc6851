"""The harness notices what it is there to notice, with a real gdb and a stub of a few lines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gdb import gdbs
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import GdbEnded, Session

REGISTERS = "00" * 8 * 17 + "00" * 4 * 7  # rax to rip, eflags and segments


def answer(request: str) -> str:
    """A machine that is stopped, with nothing but zeros in it."""
    match request[:1]:
        case "?":
            return "S05"
        case "g":
            return REGISTERS
        case "m":
            return "00" * int(request.partition(",")[2], 16)
        case "X" | "M" | "H" | "D" | "Z" | "z":
            return "OK"
        case "c":
            return "T05thread:1;"
    return ""


def serve(listener: socket.socket) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer, peer.makefile("rwb") as stream:
            while (start := stream.read(1)) == b"+" or start == b"$":
                if start == b"+":
                    continue
                body = b""
                while (byte := stream.read(1)) != b"#":
                    body += byte
                stream.read(2)
                reply = answer(body.decode("latin-1")).encode()
                stream.write(b"+$%b#%02x" % (reply, sum(reply) & 0xFF))
                stream.flush()


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield str(tmp_path / "s")
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def plain() -> Gdb:
    return gdbs.find("plain")


BARE = (r"No executable has been specified", r"does not know whether the program")


@pytest.mark.parametrize("name", gdbs.NAMES)
def test_every_gdb_starts_and_evaluates(name: str, tmp_path: Path) -> None:
    gdb = gdbs.find(name)
    with Session(gdb, "/nonexistent") as session:
        assert session.run("p 1 + 1") == "$1 = 2"
        assert session.run("python print(gdb.VERSION.split('.')[0] > '13')") == str(gdb.new)
        accepted = session.run("set architecture arm") == 'The target architecture is set to "arm".'
        assert accepted == (name != "plain")
        assert session.run("show confirm").startswith("Whether to confirm potentially dangerous operations is")


def test_packets_are_told_by_command(plain: Gdb, stub: str) -> None:
    with Session(plain, stub) as session:
        session.allowed += BARE
        session.connect("set architecture i386:x86-64")
        assert session.run("x/2wx 0x8000100") == "0x8000100:\t0x00000000\t0x00000000"
        assert session.accesses() == ["m8000100,4", "m8000104,4"]
        assert session.received[0] == "00000000"
        session.run("set {int}0x8000100 = 0x23242a7d")
        assert session.accesses() == ["X8000100,4"], "the probe of no bytes is no access"
        assert "X8000100,4:\x7d\x2a\x24\x23" in session.sent, "unescaped"
        assert session.run("p 1") == "$1 = 1"
        assert session.packets == []


def test_warnings_fail_the_test(plain: Gdb, stub: str) -> None:
    with pytest.raises(AssertionError, match="No executable has been specified"), Session(plain, stub) as session:
        session.connect("set architecture i386:x86-64")


def test_an_internal_error_fails_the_test(plain: Gdb) -> None:
    session = Session(plain, "/nonexistent")
    with pytest.raises(AssertionError, match="internal-error"), session, pytest.raises(GdbEnded):
        session.run("maint internal-error on purpose")


def test_a_gdb_that_does_not_answer_fails_with_what_it_said(plain: Gdb) -> None:
    session = Session(plain, "/nonexistent")
    with pytest.raises(TimeoutError, match="no prompt within"), session:
        session.run("shell sleep 60", seconds=0.2)
    assert session.process.returncode is not None
