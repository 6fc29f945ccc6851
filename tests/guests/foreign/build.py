"""Programs in other people's styles, and how each is built and run.

They are what strangers write for QEMU's `virt,gic-version=2` and load with `-kernel`: nothing here is shared with the
project's own guests.  `build` makes a program's image with Debian's cross compiler, in `.cache/guests/foreign`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COMPILER: Final = "aarch64-linux-gnu-gcc"
_OBJCOPY: Final = "aarch64-linux-gnu-objcopy"
_SOURCES: Final = Path(__file__).resolve().parent
_OUTPUT: Final = _SOURCES.parents[2] / ".cache" / "guests" / "foreign"
_FLAGS: Final = (
    *("-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-fno-stack-protector", "-mno-outline-atomics"),
    *("-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"),
)
_FIXED: Final = ("-static", "-no-pie", "-fno-pic")
_INDEPENDENT: Final = ("-static-pie", "-fpie", "-Wl,-z,notext", "-Wl,--no-dynamic-linker")

LOAD: Final = 0x4008_0000
"""Where QEMU puts a flat binary."""


@dataclass(frozen=True)
class Program:
    """One image. `sources` are compiled with `flags` and linked by `script` (at `base`, if it asks for one)."""

    name: str
    sources: tuple[str, ...]
    flags: tuple[str, ...] = ("-O2",)
    flat: bool = True
    """A flat binary; else the ELF itself."""
    script: str = "plain.ld"
    base: int = LOAD
    independent: bool = False
    cpus: int = 1
    typed: str = ""
    """What is typed once its console shows `prompt`."""
    prompt: str = "> "
    append: str = ""
    status: int = 0
    semihosting: bool = False
    long: bool = False


def _c(name: str, *more: str) -> tuple[str, ...]:
    """The sources of C program `name`: the usual beginning, and its own assembly in `more`."""
    return ("start.S", "unexpected.c", "strings.c", f"{name}.c", *more)


_TYPED: Final = "hello\nthe quick brown fox jumps over it\nquit\n"

PROGRAMS: Final = (
    Program("hello", ("hello.S",)),
    Program("entry", _c("entry")),
    Program("entry-elf", _c("entry"), ("-O2", "-DFIRST=1"), flat=False),
    Program("tree", _c("tree"), ("-O0",), append='one two=3 -- "four five"'),
    Program("tree-elf", _c("tree"), ("-Os",), flat=False, base=0x4010_0000),
    Program("tree-four", _c("tree"), cpus=4, long=True),
    Program("low", _c("clocks"), flat=False, base=0x4000_0000, long=True),
    Program("high", ("high.S", "high.c", "strings.c"), ("-O2", "-mgeneral-regs-only"), flat=False, script="high.ld"),
    Program(
        "image-0", ("image.S", "image.c", "strings.c"), ("-O2", "-DTEXT_OFFSET=0"), script="image.ld", independent=True
    ),
    Program(
        "image-80000",
        ("image.S", "image.c", "strings.c"),
        ("-O0", "-DTEXT_OFFSET=0x80000"),
        script="image.ld",
        independent=True,
    ),
    Program("power", _c("power"), cpus=4),
    Program("power-eight", _c("power"), ("-O1",), cpus=8, long=True),
    Program("clocks", _c("clocks")),
    Program("clocks-O0", _c("clocks"), ("-O0",), long=True),
    Program("delay", _c("delay"), long=True),
    Program("probe", _c("probe"), ("-O3", "-mcpu=cortex-a57")),
    Program("probe-O0", _c("probe"), ("-O0",), long=True),
    Program("holes", _c("holes")),
    Program("spin", _c("spin", "spin.S"), cpus=4),
    Program("spin-two", _c("spin", "spin.S"), ("-O0",), cpus=2, long=True),
    Program("spin-eight", _c("spin", "spin.S"), ("-O2", "-DROUNDS=50"), cpus=8, long=True),
    Program("pages", _c("pages")),
    Program("pages-64k", _c("pages"), ("-O2", "-DGRANULE=16")),
    Program("pages-48", _c("pages"), ("-O1", "-DWIDE")),
    Program("user", _c("user", "user.S")),
    Program("state", _c("state", "state.S")),
    Program("tasks", _c("tasks", "tasks.S")),
    Program("line", _c("line"), typed=_TYPED),
    Program("semihosting", _c("semihosting"), ("-O2", "-DSTATUS=7"), status=7, semihosting=True),
    Program("again", _c("again")),
)


def build(program: Program) -> Path:
    """The image of `program`, built if it is not there from the same sources and flags."""
    command = [
        COMPILER, *_FLAGS, *(_INDEPENDENT if program.independent else _FIXED), *program.flags,
        "-T", program.script, f"-Wl,--defsym=BASE={program.base:#x}", *program.sources,
    ]  # fmt: skip
    digest = hashlib.sha256("\0".join(command).encode())
    for source in sorted(_SOURCES.glob("*.[chS]")) + sorted(_SOURCES.glob("*.ld")):
        digest.update(source.read_bytes())
    image = _OUTPUT / f"{program.name}-{digest.hexdigest()[:16]}{'.bin' if program.flat else '.elf'}"
    if image.exists():
        return image
    _OUTPUT.mkdir(parents=True, exist_ok=True)
    for old in _OUTPUT.glob(f"{program.name}-{'?' * 16}.*"):
        old.unlink(missing_ok=True)
    aside = image.with_suffix(f".{os.getpid()}")
    subprocess.run([*command, "-o", aside], cwd=_SOURCES, check=True)
    if program.flat:
        subprocess.run([_OBJCOPY, "-O", "binary", aside, aside], check=True)
    aside.replace(image)
    return image
