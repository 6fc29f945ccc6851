"""Standard streams and files that are closed, full, endless or somebody else's, too."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.guests.programs import SYSTEM_OFF, UART, program, say
from vgicd_machine.errors import ImageError, MachineError
from vgicd_machine.files import LARGEST, contents
from vgicd_machine.host import screen
from vgicd_machine.host.progress import Progress

FULL = "No space left on device"
ASK_FOR_EVER = """
    d2a10002    mov     x2, #0x8000000          // GICD
    b9400443    ldr     w3, [x2, #4]
    17ffffff    b       .-4
"""


def run(redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "vgicd_machine", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [pytest.param("<&-", marks=pytest.mark.long), "<&- >&- 2>&-"])
def test_what_is_closed_does_not_become_the_daemons_connection(tmp_path: Path, closed: str) -> None:
    image = program(tmp_path, UART + say("!") + ASK_FOR_EVER.replace("17ffffff    b       .-4", "") + SYSTEM_OFF)
    done = run(closed, image)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed else "!")


def test_a_console_that_is_full_is_said(tmp_path: Path) -> None:
    done = run("> /dev/full", program(tmp_path, UART + say("!") + SYSTEM_OFF), "--in-process")
    assert done.returncode == MachineError.status
    assert done.stderr == f"vgicd_machine: cannot write the guest's console: {FULL}\n"


@pytest.mark.parametrize(
    "listing", [ASK_FOR_EVER, pytest.param(SYSTEM_OFF, marks=pytest.mark.long)], ids=["while it runs", "at its end"]
)
def test_a_log_that_is_full_is_said(tmp_path: Path, listing: str) -> None:
    done = run("", program(tmp_path, listing), "--in-process", "--log", "/dev/full")
    assert done.returncode == MachineError.status
    assert done.stderr.startswith("vgicd_machine: cannot write the operation log")
    assert done.stderr.endswith(f": {FULL}\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.long
def test_the_first_failure_is_said_not_that_the_log_is_full_besides(tmp_path: Path) -> None:
    image = program(tmp_path, "14000000    b       .")
    done = run("", image, "--in-process", "--log", "/dev/full", "--timeout", "0.2")
    assert done.stderr == "vgicd_machine: the guest has not switched itself off within 0.2 seconds\n"


def test_a_console_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    filled = 0
    while True:
        try:
            filled += os.write(inlet, bytes(4096))
        except BlockingIOError:
            break
    waits = threading.Event()

    def waiting(*arguments: Any) -> Any:
        waits.set()
        return select.select(*arguments)

    class Select:
        select = staticmethod(waiting)

    monkeypatch.setattr(screen, "_STDOUT", inlet)
    monkeypatch.setattr(screen, "select", Select)
    writer = threading.Thread(target=screen.Screen().write, args=(b"!",))
    writer.start()
    assert waits.wait(10)
    drained = b""
    while len(drained) <= filled:
        drained += os.read(outlet, 1 << 16)
    writer.join()
    os.close(inlet)
    os.close(outlet)
    assert drained[filled:] == b"!"


def test_only_files_with_an_end_are_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the image /dev/zero is not a regular file"):
        contents(Path("/dev/zero"), "image")
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, LARGEST + 1)
    with pytest.raises(ImageError, match=r"the initrd .*huge has 0x80000001 bytes, more than"):
        contents(huge, "initrd")


def test_what_stands_in_the_line_is_known_before_it_is_written(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    class Watching(Progress):
        """Whether the line is empty, at each output."""

        def before_output(self) -> None:
            seen.append(console.line_is_empty)

    seen: list[bool] = []
    console = screen.Screen()
    console.progress = Watching(sys.stderr, str, lambda: console.line_is_empty)
    after = []
    for byte in b"\r[\r\nx\n\r\n":
        console.write(bytes((byte,)))
        after.append(console.line_is_empty)
    assert seen == [True, False, False, False, False, False, True, True]
    assert after == [True, False, False, True, False, True, True, True]
    assert capfdbinary.readouterr().out == b"\r[\r\nx\n\r\n"


@pytest.mark.parametrize(("said", "shown"), [("begin\n", True), ("=> ", False)], ids=["empty", "a prompt"])
def test_progress_of_a_later_boot_minds_the_line_of_the_one_before(said: str, *, shown: bool) -> None:
    console = screen.Screen()
    console.write(said.encode())
    stream = io.StringIO()
    asked = threading.Event()

    def may_show() -> bool:
        asked.set()
        return console.line_is_empty

    with Progress(stream, lambda: "[progress]", may_show, silence=0, interval=0.001):
        assert asked.wait(10)
    assert ("[progress]" in stream.getvalue()) == shown
