"""Thread ids: vCPU v is thread v + 1 of process 1 (gdb manual, "Packets", thread-id syntax)."""

from __future__ import annotations

from typing import Final

from vgicd.gdbstub import replies
from vgicd.gdbstub.replies import Malformed

PROCESS: Final = 1
ALL: Final = -1
"""Every thread, where a vCPU's number may stand."""
ANY: Final = -2
"""Whichever thread."""


def parse(text: bytes) -> int:
    """The vCPU that `p1.2` or `2` names, `ALL` for -1, `ANY` for 0; it need not exist. Malformed otherwise."""
    if text.startswith(b"p"):
        process, dot, text = text[1:].partition(b".")
        if not dot:
            text = b"-1"
        if _number(process) not in (PROCESS, -1, 0):
            raise Malformed(f"There is no process {process[:40]!r}.")
    match _number(text):
        case -1:
            return ALL
        case 0:
            return ANY
        case thread:
            return thread - 1


def _number(text: bytes) -> int:
    if text == b"-1":
        return -1
    try:
        return replies.number(text)
    except Malformed:
        raise Malformed(f"{text[:40]!r} is no thread id.") from None


def name(vcpu: int, *, multiprocess: bool) -> str:
    """The id of vCPU `vcpu`."""
    return f"p{PROCESS}.{vcpu + 1:x}" if multiprocess else f"{vcpu + 1:x}"
