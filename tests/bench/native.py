"""The C programs: built into `.cache/bench/`, started on the core that is measured.

`driver` asks every server the same way (driver.c); `echo` is the floor that it is compared with (echo.c); `c_client` is
what a user of the C client gets (c_client.c).
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = HERE.parent.parent / ".cache" / "bench"
FLAGS: Final = ("-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic")
AUTOGROUP: Final = Path("/proc/self/autogroup")
BEST_NICE: Final = -20

_HEADER: Final = struct.Struct("=4sIII")
RUN_DEADLINE: Final = 120.0


class CannotRunError(Exception):
    """Something that the benchmark needs is missing or does not start; the text says what."""


class WrongAnswerError(Exception):
    """A server's answer differs from the recorded one, so its time means nothing."""


@dataclass(frozen=True)
class Frame:
    """One request and its whole answer; only the answer's bits that `mask` has must be as in `answer`."""

    request: bytes
    answer: bytes
    mask: bytes

    def __post_init__(self) -> None:
        if len(self.answer) != len(self.mask):
            raise ValueError("an answer and its mask have the same length")


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Let this process, and every one that it starts inside, run on `core` alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def preferred() -> Iterator[None]:
    """Let this process and every one that it starts inside run before others, as far as that is allowed.

    Pairing cancels what changes slowly; a neighbour that takes the core in the middle of a run is only kept out by
    priority.  With the scheduler's autogroups a nice value counts among a session's own processes only, so that
    the session gets it as well.
    """
    with ExitStack() as undo:
        with suppress(OSError):  # whoever may not do this measures with a wider spread
            nice = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, 0, BEST_NICE)
            undo.callback(os.setpriority, os.PRIO_PROCESS, 0, nice)
            group = AUTOGROUP.read_text().rpartition("nice ")[2].strip()
            AUTOGROUP.write_text(str(BEST_NICE))
            undo.callback(AUTOGROUP.write_text, group)
        yield


def build(name: str, *library: Path) -> Path:
    """Compile `name`.c with the sources and headers of a `library`, unless the program is newer than all; its path."""
    source, program = HERE / f"{name}.c", CACHE / name
    if program.exists() and program.stat().st_mtime > max(path.stat().st_mtime for path in (source, *library)):
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CannotRunError("no C compiler: install gcc, or name one in CC")
    CACHE.mkdir(parents=True, exist_ok=True)
    sources = [str(path) for path in (source, *library) if path.suffix == ".c"]
    includes = sorted({f"-I{path.parent}" for path in library})
    command = [compiler, *FLAGS, *includes, "-o", str(program), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunError(f"{source.name} does not compile:\n{done.stderr}")
    return program


def save_script(path: Path, frames: list[Frame]) -> None:
    """Write `frames` to `path` in the form that driver.c reads."""
    requests = b"".join(frame.request for frame in frames)
    answers = b"".join(frame.answer for frame in frames)
    masks = b"".join(frame.mask for frame in frames)
    lengths = array("I", [len(frame.request) for frame in frames] + [len(frame.answer) for frame in frames])
    header = _HEADER.pack(b"VGB1", len(frames), len(requests), len(answers))
    path.write_bytes(header + lengths.tobytes() + requests + answers + masks)


def drive(connection: socket.socket, script: Path, *, window: int, count: int, core: int) -> list[int]:
    """Run `count` windows of `script` over `connection` on `core`; the nanoseconds of each window.

    Raises WrongAnswerError at the first answer that differs, CannotRunError when the server hangs or goes away.
    """
    connection.setblocking(True)
    command = [str(build("driver")), str(connection.fileno()), str(script), str(window), str(count)]
    with pinned(core):
        process = subprocess.Popen(
            command, pass_fds=(connection.fileno(),), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    try:
        out, err = process.communicate(timeout=RUN_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise CannotRunError(f"{script.name}: no end within {RUN_DEADLINE:.0f} s") from None
    if process.returncode == 1:
        raise WrongAnswerError(f"{script.name}: {err.decode()}")
    if process.returncode:
        raise CannotRunError(f"{script.name}: driver ended with status {process.returncode}\n{err.decode()}")
    return array("I", out).tolist()
