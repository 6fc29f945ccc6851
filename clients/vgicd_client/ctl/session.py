"""What every command shares: the address, the form of the output, and how it fails.

Exit codes: 0 done · 1 a difference was found, or the command failed · 2 wrong usage, or a file that is not what it
should be · 3 no daemon could be reached, or it was lost · 4 the daemon refused the request.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from vgicd_client.ctl import discover
from vgicd_client.daemon import DaemonFailed
from vgicd_client.errors import AddressError, ClientError, ConnectionLost, ProtocolError, Refused
from vgicd_client.images import ImageError
from vgicd_client.sync_client import Client, connect
from vgicd_client.trace.format import TraceError
from vgicd_protocol.errors import Status

P = ParamSpec("P")
T = TypeVar("T")

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_REFUSED: Final = 4

ENVIRONMENT: Final = "VGICD_ADDRESS"
RETRY_SECONDS: Final = 0.05


@dataclass
class Session:
    """The options that stand before or behind a command."""

    address: str | None = None
    json: bool = False
    wait: float = 0.0  # seconds for which a daemon that is not there is waited for

    def connect(self, role: str = "any", *, address: str | None = None, name: str = "vgicctl") -> Client:
        """A client of the chosen daemon, `address` if that is given.

        Raises `NoDaemon` when there is none or more than one, and as `vgicd_client.connect` does; the absence of a
        daemon only after `wait` seconds.
        """
        named = address or self.address or os.environ.get(ENVIRONMENT)
        deadline = time.monotonic() + self.wait
        while True:
            try:
                return connect(named or only_daemon(), role, name=name)
            except (ConnectionLost, NoDaemon):
                if time.monotonic() >= deadline:
                    raise
            time.sleep(RETRY_SECONDS)


class NoDaemon(ClientError):
    """No daemon was named, and there is not exactly one to take."""


def only_daemon() -> str:
    """The address of the only daemon that runs. Raises `NoDaemon`."""
    found = [one for one in discover.running() if one.welcome is not None]
    if len(found) == 1:
        return found[0].address
    where = " and ".join(map(str, discover.directories()))
    if not found:
        raise NoDaemon(
            f"no daemon answers in {where}: start one with `vgicd serve`, or name one with --address or {ENVIRONMENT}"
        )
    names = ", ".join(one.address for one in found)
    raise NoDaemon(f"several daemons run ({names}): choose one with --address or {ENVIRONMENT}")


def fail(code: int, text: str) -> NoReturn:
    """End with `code` and one sentence on standard error."""
    click.echo(f"vgicctl: {text}", err=True)
    raise click.exceptions.Exit(code)


def _exit_code(error: ClientError) -> int:
    match error:
        case AddressError() | TraceError() | ImageError():
            return EXIT_USAGE
        case Refused():
            return EXIT_REFUSED
        case NoDaemon() | ConnectionLost() | ProtocolError() | DaemonFailed():
            return EXIT_UNREACHABLE
    return EXIT_FAILED


def _sentence(error: ClientError) -> str:
    if not isinstance(error, Refused):
        return str(error)
    try:
        code = Status(error.code).name
    except ValueError:
        code = f"{error.code:#x}"
    return f"the daemon refused ({code}): {error}"


def _complete_address(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(address) for address in discover.sockets() if address.startswith(incomplete)]


def _note_address(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).address = value


def _note_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


def _note_wait(context: click.Context, _parameter: click.Parameter, value: float | None) -> None:
    if value is not None:
        context.ensure_object(Session).wait = value


def shared_options(command: Callable[P, T]) -> Callable[P, T]:
    """Add --address, --wait and --json; all may stand before or behind the command's name."""
    command = click.option(
        "--wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        expose_value=False,
        callback=_note_wait,
        help="wait for a daemon that does not answer yet",
    )(command)
    command = click.option(
        "-a",
        "--address",
        metavar="ADDRESS",
        expose_value=False,
        callback=_note_address,
        shell_complete=_complete_address,
        help=f"unix:PATH, seqpacket:PATH or tcp:HOST:PORT  [default: {ENVIRONMENT}, else the only running daemon]",
    )(command)
    return click.option(
        "--json", is_flag=True, expose_value=False, callback=_note_json, help="print JSON instead of text"
    )(command)


def talks(command: Callable[P, T]) -> Callable[P, T]:
    """For a command: the shared options, and a sentence and an exit code for every failure."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ClientError as error:
            fail(_exit_code(error), _sentence(error))
        except BrokenPipeError:
            raise  # the reader of our output has gone; click ends quietly
        except OSError as error:
            fail(EXIT_FAILED, f"{error.filename or 'input/output'}: {error.strerror or error}")

    return shared_options(run)
