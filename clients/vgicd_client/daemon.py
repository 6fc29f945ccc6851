"""A daemon of one's own: started as a child process, ended with the block that uses it.

    with private_daemon(vcpus=4) as daemon, connect(daemon.address) as gic:
        gic.read(0, Space.GICD, 0x004)

The daemon is a real one in a process of its own, listening in a fresh temporary directory that only this user can
enter.  It is ended by its process id and the directory removed, whatever happened inside the block.  A process that is
killed cannot do that: its daemon then ends by itself, if the block was in the main thread and `setpriv` is installed
(util-linux), and only the directory stays.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from vgicd_client.errors import ClientError, ConnectionLost
from vgicd_client.sync_client import connect

START_DEADLINE: Final = 20.0
"""Seconds in which the daemon must answer HELLO; a loaded machine takes most of one for the imports."""
STOP_DEADLINE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL."""
STDERR_TAIL: Final = 4000
_DIE_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "TERM")  # replaces itself by the daemon: the pid is the daemon's


class DaemonFailed(ClientError):
    """The daemon did not start or ended by itself; the text ends with what it wrote to standard error."""


@dataclass(frozen=True, slots=True)
class PrivateDaemon:
    """A running daemon. `address` is its UNIX stream socket, `seqpacket` its UNIX packet socket."""

    address: str
    seqpacket: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self.process.pid

    def stderr(self) -> str:
        """What the daemon has written to standard error, at most its last part."""
        return self.log.read_text("utf-8", "replace")[-STDERR_TAIL:]

    def listening(self, transport: str) -> str:
        """The first address of `transport` ("tcp", ...) on which it says that it listens. Raises `DaemonFailed`.

        For ports that the system chose, as for the argument "--tcp=127.0.0.1:0"; needs the daemon's JSON log.
        """
        for line in self.log.read_text("utf-8", "replace").splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("event") == "serve.ready":
                for address in entry["addresses"]:
                    if address.startswith(f"{transport}:"):
                        return str(address)
        raise DaemonFailed(f"the daemon (pid {self.pid}) does not say that it listens on {transport}")

    def check(self) -> None:
        """Raises `DaemonFailed` if the daemon has ended."""
        if (code := self.process.poll()) is not None:
            raise DaemonFailed(f"the daemon (pid {self.pid}) ended with code {code}:\n{self.stderr()}")


@contextmanager
def private_daemon(*arguments: str, **config: Any) -> Iterator[PrivateDaemon]:
    """Run `vgicd serve` with the domain options `config` (the fields of its [domain] section).

    `arguments` are further command line arguments, such as "--tcp", "127.0.0.1:0".  Yields when the daemon answers;
    raises `DaemonFailed` if it does not, with its standard error.  A None in `config` leaves the default.
    """
    daemon = _start(arguments, config)
    try:
        yield daemon
    finally:
        _stop(daemon)


@asynccontextmanager
async def private_daemon_async(*arguments: str, **config: Any) -> AsyncIterator[PrivateDaemon]:
    """`private_daemon` for trio: starting and stopping do not block the loop."""
    daemon = await trio.to_thread.run_sync(lambda: _start(arguments, config))
    try:
        yield daemon
    finally:
        with trio.CancelScope(shield=True):  # bounded: SIGKILL follows after STOP_DEADLINE
            await trio.to_thread.run_sync(_stop, daemon)


def _start(arguments: tuple[str, ...], config: Mapping[str, Any]) -> PrivateDaemon:
    folder = Path(tempfile.mkdtemp(prefix="vgicd-"))
    try:
        stream, packet, log = folder / "s", folder / "p", folder / "log"
        command = [sys.executable, "-m", "vgicd.cli", "serve", "--unix", str(stream), "--unixpacket", str(packet)]
        command += [f"--set=domain.{key}={_toml(value)}" for key, value in config.items() if value is not None]
        # "parent" is the thread (prctl(2)): any other one's end, such as of trio's workers, is not the process's
        if threading.current_thread() is threading.main_thread() and shutil.which(_DIE_WITH_PARENT[0]):
            command = [*_DIE_WITH_PARENT, *command]
        with log.open("wb") as stderr:
            process = subprocess.Popen([*command, *arguments], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        daemon = PrivateDaemon(f"unix:{stream}", f"seqpacket:{packet}", process, log)
        try:
            _await_answer(daemon)
        except BaseException:
            _end(process)
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return daemon


def _await_answer(daemon: PrivateDaemon) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while True:
        daemon.check()
        try:
            with connect(daemon.address, timeout=START_DEADLINE) as client:
                client.ping()
        except ConnectionLost as error:
            if time.monotonic() > deadline:
                text = f"the daemon (pid {daemon.pid}) does not answer after {START_DEADLINE:.0f} s: {error}"
                raise DaemonFailed(f"{text}\n{daemon.stderr()}") from error
            time.sleep(0.01)
        else:
            return


def _stop(daemon: PrivateDaemon) -> None:
    _end(daemon.process)
    shutil.rmtree(daemon.log.parent, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _toml(value: Any) -> str:
    """A configuration value as TOML, which JSON is for what a domain's options hold."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
