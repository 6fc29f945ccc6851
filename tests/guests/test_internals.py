"""The inside of loaded libraries, and the Unicorns of others that are in the same process."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.guests.fakes import OFF, START, FakeGic, run
from vgicd_machine.core import engine
from vgicd_machine.core.internals import new_core
from vgicd_machine.core.library import Library
from vgicd_machine.errors import EngineMissing

# isort: split
from unicorn.unicorn_py3.unicorn import uclib

MRS_CNTVCT = 0xD53B_E040
LOOK = """
    b94012a5    ldr     w5, [x21, #0x10]
"""


def engines_library() -> Library:
    return Library(uclib._name, uclib.uc_version, "uc_version")


def test_exported_functions_are_where_the_loader_has_put_them() -> None:
    found = engines_library().address("uc_open")
    assert found == ctypes.cast(uclib.uc_open, ctypes.c_void_p).value


def test_another_version_is_refused_with_what_to_install() -> None:
    library = engines_library()
    with pytest.raises(EngineMissing, match=r"has no uc_of_another_day: install the version .* vgicd\[emulator\]"):
        library.address("uc_of_another_day")
    with pytest.raises(EngineMissing, match=r"does not use uc_of_another_day: install"):
        library.interpose("uc_of_another_day", None)


def test_what_is_no_elf_library_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "unicorn.dll"
    other.write_bytes(b"MZ")
    with pytest.raises(EngineMissing, match="no 64-bit little-endian ELF library"):
        Library(str(other), uclib.uc_version, "uc_version")
    with pytest.raises(EngineMissing, match=f"cannot read .*{os.strerror(2)}"):
        Library(str(tmp_path / "gone"), uclib.uc_version, "uc_version")


def counter_elsewhere() -> int:
    """What the counter reads on somebody else's Unicorn, in a thread of its own."""
    seen: list[int] = []

    def read() -> None:
        core: Any = new_core()
        core.mem_map(0x1000, 0x1000)
        core.mem_write(0x1000, struct.pack("<I", MRS_CNTVCT))
        core.emu_start(0x1000, 0, count=1)
        seen.append(core.reg_read(engine.X0))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    return seen[0]


def test_a_machine_does_not_answer_for_somebody_elses_unicorn() -> None:
    seen: list[int] = []

    class Busy(FakeGic):
        def read(self, cpu: int, address: int, size: int) -> int:
            seen.append(counter_elsewhere())
            return super().read(cpu, address, size)

    machine, _ = run(Busy(), START + LOOK + LOOK + OFF)
    assert machine.statistics.counter_reads == 0
    assert seen[0] < seen[1], "the host's clock"
