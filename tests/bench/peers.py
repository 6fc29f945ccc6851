"""The servers that are compared, each started on the measured core and reached over one UNIX stream connection."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import vgicd_client
from tests.bench import python_client
from tests.bench.native import CannotRunError, Frame, build, pinned
from tests.bench.workload import Stream
from vgicd.domain.config import DomainConfig
from vgicd_client import Client, Role, Status
from vgicd_protocol import framing, messages
from vgicd_protocol.frames import Opcode
from vgicd_protocol.session import Hello

QEMU: Final = "qemu-system-aarch64"
QTEST_TYPER: Final = 0x0800_0004  # GICD_TYPER of QEMU's machine "virt"
_START_DEADLINE: Final = 20.0


@dataclass
class Server:
    """A server process, with what it wrote to standard error."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def state(self) -> str:
        """For the report of a failure: the command, how it ended if it did, and the end of its standard error."""
        status = self.process.poll()
        state = "still running" if status is None else f"ended with status {status}"
        self.errors.seek(0)
        tail = self.errors.read()[-2000:].decode(errors="replace")
        return f"{self.process.args!r} {state}\n{tail}"


@contextmanager
def running(command: Sequence[str], core: int, *, pass_fds: Sequence[int] = ()) -> Iterator[Server]:
    """A server process on `core`, terminated at the end."""
    with tempfile.TemporaryFile() as errors:
        with pinned(core):
            process = subprocess.Popen(
                command, pass_fds=pass_fds, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
            )
        try:
            yield Server(process, errors)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def connect(path: Path, server: Server) -> socket.socket:
    """Connect to the UNIX socket that `server` is about to open at `path`."""
    deadline = time.monotonic() + _START_DEADLINE
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise CannotRunError(f"nobody listens on {path}: {server.state()}") from None
            time.sleep(0.02)
        else:
            return connection


@contextmanager
def echo(core: int) -> Iterator[socket.socket]:
    """The C echo server."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        command = [str(build("echo")), str(theirs.fileno())]
        with running(command, core, pass_fds=(theirs.fileno(),)):
            theirs.close()
            yield ours


@contextmanager
def qtest(core: int, directory: Path) -> Iterator[socket.socket]:
    """QEMU's qtest server before a GICv2 on one CPU.

    Debian builds QEMU without the accelerator of that name; a stopped machine under TCG answers the same.  With more
    than one CPU any access to the GIC by qtest crashes it.
    """
    program = shutil.which(QEMU)
    if program is None:
        raise CannotRunError(f"{QEMU} is not installed (Debian: qemu-system-arm)")
    path = directory / "qtest.sock"
    machine = ["-M", "virt,gic-version=2", "-cpu", "cortex-a57", "-smp", "1", "-accel", "tcg", "-S"]
    control = ["-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", "/dev/null"]
    command = [program, *machine, *control, "-display", "none", "-nodefaults"]
    with running(command, core) as server, connect(path, server) as connection:
        yield connection


def qtest_typer(connection: socket.socket) -> Frame:
    """The request `readl` of GICD_TYPER and its answer as this server, QEMU or vgicd, gives it."""
    request = b"readl 0x%x\n" % QTEST_TYPER
    connection.sendall(request)
    answer = b""
    connection.settimeout(_START_DEADLINE)
    while not answer.endswith(b"\n"):
        part = connection.recv(4096)
        if not part:
            raise CannotRunError("qtest closed the connection")
        answer += part
    if not answer.startswith(b"OK 0x") or int(answer[3:], 16) & 0x1F == 0:
        raise CannotRunError(f"qtest does not reach a GIC: {answer!r}")
    return Frame(request, answer, b"\xff" * len(answer))


@dataclass
class Daemon:
    """A daemon: `connection` and `qtest` are the driver's, with HELLO said; `control` sets the domain up."""

    address: str
    connection: socket.socket
    qtest: socket.socket
    control: Client

    def restart(self, stream: Stream) -> None:
        """Build the domain anew and bring it to where `stream` starts."""
        self.control.reset()
        for operation in stream.setup:
            python_client.ask(self.control, operation)


@contextmanager
def vgicd(core: int, config: DomainConfig) -> Iterator[Daemon]:
    """The daemon with a domain of `config`."""
    with ExitStack() as stack:
        with pinned(core):
            geometry = {"vcpus": config.vcpus, "spis": config.spis, "lrs": config.lrs}
            daemon = stack.enter_context(vgicd_client.private_daemon("--qtest", **geometry))
        path = daemon.address.removeprefix("unix:")
        connection, lines = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        connection.connect(path)
        _greet(connection)
        lines.connect(f"{path}.qtest")
        control = stack.enter_context(vgicd_client.connect(daemon.address, role="control"))
        yield Daemon(daemon.address, connection, lines, control)


def _greet(connection: socket.socket) -> None:
    """Say HELLO as a guest and take the WELCOME off the stream."""
    hello = Hello(role=Role.GUEST, client="bench")
    connection.sendall(framing.request(Opcode.HELLO, 0, messages.build_request(Opcode.HELLO, hello.fields())))
    connection.settimeout(_START_DEADLINE)
    reader = framing.FrameReader()
    received: list[framing.Frame] = []
    while not received:
        data = connection.recv(4096)
        if not data:
            raise CannotRunError("the daemon closed the connection at HELLO")
        received.extend(reader.feed(data))
    reply = framing.reply_of(received[0])
    if reply.status != Status.OK:
        raise CannotRunError(f"the daemon refuses HELLO: {messages.parse_error(reply.body)}")
