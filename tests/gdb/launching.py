"""The gdb clients with the gdbs of the harness, and a gdb that is busy for exactly as long as a test wants."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from tests.gdb.gdbs import Gdb
from vgicd_client import gdbmi, gdbmi_sync


def trio_client(gdb: Gdb, timeout: float = 30.0) -> gdbmi.Gdb:
    """A trio client of this gdb; patient, for a loaded machine."""
    program, *arguments = gdb.command
    return gdbmi.Gdb.launch(program, arguments, timeout=timeout, environment=gdb.environment)


def blocking_client(gdb: Gdb, timeout: float = 30.0) -> gdbmi_sync.Gdb:
    """A blocking client of this gdb."""
    program, *arguments = gdb.command
    return gdbmi_sync.Gdb.launch(program, arguments, timeout=timeout, environment=gdb.environment)


class Gate:
    """`command` keeps a gdb busy until the gate is opened. A context manager, which opens it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.command = f"shell until [ -e {path} ]; do sleep 0.01; done"

    def open(self) -> None:
        """Let gdb go on."""
        self._path.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open()
