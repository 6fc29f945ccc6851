"""The C client under test: built in several flavours, and driven by a line a call (driver.c)."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from tests.tools import require_tool, unavailable
from vgicd_protocol.frames import HEAD_CODEC, HOT_REPLY_CODEC, REPLY_BIT, REPLY_HEAD_CODEC, VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENT: Final = ROOT / "clients" / "c"
DRIVER: Final = Path(__file__).with_name("driver.c")
VECTORS: Final = ROOT / "protocol" / "vectors"

STRICT: Final = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow")
LENIENT: Final = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
SANITIZED: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FLAGS: Final = {"plain": ("-O2",), "sanitized": ("-O1", "-g", *SANITIZED), "valgrind": ("-O1", "-g")}
VALGRIND: Final = ("valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=all",
                   "--errors-for-leak-kinds=all", "--track-fds=no")  # fmt: skip
FOREIGN: Final = shlex.split(os.environ.get("VGICD_C_DRIVER", ""))
PATIENCE: Final = 30.0
"""Seconds for an answer of the driver; under valgrind a call takes milliseconds."""

OK, ABORT, REFUSED, TIMEOUT, INVALID, MEMORY, LOST, BROKEN = 0, 1, -1, -2, -3, -4, -5, -6
WELCOME: Final = bytes.fromhex(json.loads((VECTORS / "hello.json").read_text())[1]["frame"])


def compiler() -> str:
    """The C compiler's path; the calling test is skipped without one."""
    name = os.environ.get("CC", "cc")
    found = shutil.which(name)
    if found is None:
        unavailable(f"{name} is not installed (Debian package gcc)")
    return str(found)


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run to the end; standard output. Fails the test with everything that was said if the exit status is not 0."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(flavour: str, folder: Path, program: Path = DRIVER, *libraries: str) -> Path:
    """`program` with the client, in `folder`."""
    if flavour == "valgrind":
        require_tool("valgrind", "valgrind")
    target, client = folder / f"{program.stem}-{flavour}", folder / f"vgicd-{flavour}.o"
    flags = FLAGS[flavour]
    if not client.exists():
        run(compiler(), *STRICT, *flags, "-c", CLIENT / "vgicd.c", "-o", client)
    run(compiler(), *LENIENT, *flags, f"-I{CLIENT}", program, client, "-o", target, *libraries)
    return target


class Answer(NamedTuple):
    """What one call did; `result` is the C function's."""

    result: int
    value: int
    outputs: int
    order: int
    status: int
    maybe_applied: bool
    field: str
    error: str
    extra: str


class Driver:
    """A running driver; a context manager that expects a clean end: status 0 and nothing on standard error."""

    def __init__(self, program: Path, wrapper: Sequence[str] = ()) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([*wrapper, str(program)], stdin=pipe, stdout=pipe, stderr=pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.process.kill()
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        if kind is None:
            assert (self.process.returncode, errors.decode()) == (0, "")

    def send(self, *words: object) -> None:
        """Start a call."""
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(" ".join(str(word) for word in words).encode() + b"\n")
        stdin.flush()

    def has_answered(self, seconds: float) -> bool:
        """Whether the call that was started ends within `seconds`."""
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def answer(self) -> Answer:
        """Wait for the end of the call that was started."""
        stdout = self.process.stdout
        assert stdout is not None
        assert self.has_answered(PATIENCE), "the driver does not answer"
        line = stdout.readline()
        if not line:
            self.process.wait(PATIENCE)
            stderr = self.process.stderr
            raise AssertionError(f"the driver ended: {stderr.read().decode() if stderr else ''}")
        words = line.decode(errors="replace").rstrip("\n").split("\t")
        return Answer(*map(int, words[:5]), bool(int(words[5])), *words[6:])  # type: ignore[arg-type]  # nine of them

    def __call__(self, *words: object) -> Answer:
        """One call, from start to end."""
        self.send(*words)
        return self.answer()

    def connect(self, address: str, role: int = 0, timeout_ms: int = 0, spin_us: int = 0) -> None:
        """Connect, and fail the test if that does."""
        answer = self("connect", address, role, 0, timeout_ms, spin_us)
        assert answer.result == OK, answer

    def ok(self, *words: object) -> Answer:
        """A call that is expected to succeed."""
        answer = self(*words)
        assert answer.result == OK, (words, answer)
        return answer


class FakeServer:
    """A server that says whatever the test wants, byte by byte."""

    def __init__(self, path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self.packets = kind == socket.SOCK_SEQPACKET
        self.address = f"{'seqpacket' if self.packets else 'unix'}:{path}"
        self.listener = socket.socket(socket.AF_UNIX, kind)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        self.peer: socket.socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if hasattr(self, "peer"):
            self.peer.close()

    def accept(self) -> None:
        """Take the client's connection."""
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(PATIENCE)

    def frame(self) -> bytes:
        """The next whole frame from the client."""
        if self.packets:
            return self.peer.recv(1 << 17)
        head = self._exactly(HEAD_CODEC.size)
        return head + self._exactly(HEAD_CODEC.fields(head)["length"] - len(head))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.peer.recv(count - len(data))
            if not part:
                raise ConnectionResetError("the client closed the connection")
            data += part
        return data

    def send(self, data: bytes) -> None:
        """Any bytes to the client."""
        self.peer.sendall(data)

    def welcome(self, driver: Driver, frame: bytes = WELCOME, timeout_ms: int = 0) -> Answer:
        """Let `driver` connect and answer its HELLO with `frame`."""
        driver.send("connect", self.address, 0, 0, timeout_ms, 0)
        self.accept()
        self.frame()
        self.send(with_id(frame, 1))
        return driver.answer()


def with_id(frame: bytes, request_id: int) -> bytes:
    """`frame` with another request id."""
    return frame[:8] + request_id.to_bytes(4, "little") + frame[12:]


def reply(opcode: int, request_id: int, body: bytes = b"", *, status: int = 0, outputs: int = 0, order: int = 1,
          flags: int = 0, length: int | None = None, version: int = VERSION) -> bytes:  # fmt: skip
    """A frame from the server, as wrong as asked for."""
    size = REPLY_HEAD_CODEC.size + len(body) if length is None else length
    head = REPLY_HEAD_CODEC.pack(size, version, opcode | REPLY_BIT, status, request_id, outputs, flags, order)
    return head + body


def hot_reply(
    opcode: int, request_id: int, value: int = 0, *, status: int = 0, outputs: int = 0, order: int = 1
) -> bytes:
    """The 32 bytes that answer READ, WRITE or LINE."""
    return HOT_REPLY_CODEC.pack(
        HOT_REPLY_CODEC.size, VERSION, opcode | REPLY_BIT, status, request_id, outputs, 0, order, value
    )
