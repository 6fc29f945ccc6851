"""The C client of clients/c on the measured core: c_client.c, built with it and run once for a sample."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench import native, scripts
from tests.bench.native import CannotRunError, WrongAnswerError, pinned
from tests.bench.workload import Step

CLIENT: Final = native.HERE.parent.parent / "clients" / "c"
SLICE: Final = 100
"""Calls that c_client.c times together."""

_STEP: Final = struct.Struct("=QQQIIIIII")


def program() -> Path:
    """c_client.c with the client, built."""
    return native.build("c_client", CLIENT / "vgicd.c", CLIENT / "vgicd.h", CLIENT / "vgicd_protocol.h")


def save_steps(path: Path, steps: Sequence[Step]) -> None:
    """Write `steps` as c_client.c reads them."""
    records = []
    for step in steps:
        opcode, vcpu, size, space, address, value = scripts.fields_of(step.operation)
        records.append(_STEP.pack(address, value, step.value, step.outputs, opcode, vcpu, size, space, 0))
    path.write_bytes(b"".join(records))


def run(address: str, path: Path, *, entries: int, core: int) -> list[int]:
    """Run the steps of `path` once, `entries` to a call, on `core`; nanoseconds of each slice or vector.

    Raises WrongAnswerError at an answer that differs, CannotRunError when the run cannot be made.
    """
    with pinned(core):
        process = subprocess.Popen(
            [str(program()), address, str(path), str(entries)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        out, err = process.communicate(timeout=native.RUN_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise CannotRunError(f"C client: no end within {native.RUN_DEADLINE:.0f} s") from None
    if process.returncode == 1:
        raise WrongAnswerError(f"C client: {err}")
    if process.returncode:
        raise CannotRunError(f"C client: {err}")
    return [int(line) for line in out.split()]
