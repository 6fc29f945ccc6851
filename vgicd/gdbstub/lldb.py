"""What LLDB asks besides gdb's packets (LLDB, "GDB Remote Protocol Extensions").

It works without these answers, but asks for them several times, and without them reports a watchpoint of an
architecture that it guessed.
"""

from __future__ import annotations

from typing import Final

from vgicd.gdbstub.arch import Arch

_MACHINES: Final = {"x86-64": "x86_64", "aarch64": "aarch64", "arm": "arm"}


def triple(arch: Arch) -> str:
    """LLVM's name of the target: no vendor, no operating system."""
    return f"{_MACHINES[arch.name]}-unknown-none-elf"


def host_info(arch: Arch) -> str:
    """The answer to qHostInfo; `watchpoint_exceptions_received` says when, of the access, a watchpoint is reported."""
    when = "after" if arch.watch_after else "before"
    return f"{_common(arch)}watchpoint_exceptions_received:{when};"


def process_info(arch: Arch) -> str:
    """The answer to qProcessInfo: the one process, 1, whose threads are the vCPUs."""
    return f"pid:1;{_common(arch)}"


def _common(arch: Arch) -> str:
    return f"triple:{triple(arch).encode().hex()};ptrsize:{arch.word};endian:little;"
