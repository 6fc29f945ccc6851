"""Standard streams and files that are closed, full, endless or somebody else's, too."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.guests.programs import SYSTEM_OFF, UART, program, say
from vgicd_machine import perform
from vgicd_machine.errors import ImageError, MachineError
from vgicd_machine.files import LARGEST, contents

FULL = "No space left on device"
ASK_FOR_EVER = """
    d2a10002    mov     x2, #0x8000000          // GICD
    b9400443    ldr     w3, [x2, #4]
    17ffffff    b       .-4
"""


def run(redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "vgicd_machine", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_what_is_closed_does_not_become_the_daemons_connection(tmp_path: Path, closed: str) -> None:
    image = program(tmp_path, UART + say("!") + ASK_FOR_EVER.replace("17ffffff    b       .-4", "") + SYSTEM_OFF)
    done = run(closed, image)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed else "!")


def test_a_console_that_is_full_is_said(tmp_path: Path) -> None:
    done = run("> /dev/full", program(tmp_path, UART + say("!") + SYSTEM_OFF), "--in-process")
    assert done.returncode == MachineError.status
    assert done.stderr == f"vgicd_machine: cannot write the guest's console: {FULL}\n"


@pytest.mark.parametrize("listing", [ASK_FOR_EVER, SYSTEM_OFF], ids=["while it runs", "at its end"])
def test_a_log_that_is_full_is_said(tmp_path: Path, listing: str) -> None:
    done = run("", program(tmp_path, listing), "--in-process", "--log", "/dev/full")
    assert done.returncode == MachineError.status
    assert done.stderr.startswith("vgicd_machine: cannot write the operation log")
    assert done.stderr.endswith(f": {FULL}\n")
    assert len(done.stderr.splitlines()) == 1


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

    monkeypatch.setattr(perform, "_STDOUT", inlet)
    monkeypatch.setattr(perform, "select", Select)
    writer = threading.Thread(target=perform._Screen().write, args=(b"!",))
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
