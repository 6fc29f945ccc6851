"""What the commands of this package share: how options are written, a daemon's geometry, and how a failure ends."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn, ParamSpec, TypeVar

import click

from vgicd_client import AddressError, ClientError
from vgicd_machine.errors import STATUS_BASE, MachineError

P = ParamSpec("P")
T = TypeVar("T")

BROKEN_PIPE: Final = 141  # as a shell says that SIGPIPE ended a program
QEMUS_SPIS: Final = 256
"""As many as QEMU's virt has, which programs written for it may use."""


class Number(click.ParamType[int]):
    """A whole number, decimal or with a prefix such as 0x."""

    name = "integer"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`value` as an int; a usage error if it is none."""
        try:
            return int(str(value), 0)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)


GEOMETRY: Final = ("lrs", "spis", "variant")
"""The options of `geometry`, by name."""


def geometry(spis: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Add `--lrs`, `--spis` (default: `spis`) and `--variant`."""

    def add(command: Callable[P, T]) -> Callable[P, T]:
        for option in (
            click.option("--variant", type=click.Choice(["correct", "xen"]), default="correct", show_default=True),
            click.option("--spis", type=click.IntRange(0, 960), default=spis, show_default=True),
            click.option(
                "--lrs", type=click.IntRange(1, 64), default=4, show_default=True, help="List registers per CPU."
            ),
        ):
            command = option(command)
        return command

    return add


def write_now(text: str) -> None:
    """The guest's console: on standard output at once, whoever reads it."""
    sys.stdout.write(text)
    sys.stdout.flush()


def fail(status: int, text: object) -> NoReturn:
    """End with `status` and a sentence on standard error, said by the program that the user has started."""
    sys.stdout.flush()
    with contextlib.suppress(MachineError):  # there is nowhere to say it, and the status says most
        say(text)
    sys.exit(status)


def say(text: object) -> None:
    """A sentence on standard error. Raises as `write_error`."""
    context = click.get_current_context(silent=True)
    program = context.find_root().info_name if context is not None else None
    write_error(f"{program if program == 'vgicctl' else 'vgicd_machine'}: {text}")


def write_error(line: str) -> None:
    """`line` on standard error. Raises `MachineError` when it cannot be written; others are then lost in silence."""
    try:
        click.echo(line, err=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - else the interpreter's end fails on it
        raise MachineError(f"cannot write to standard error: {error.strerror}") from error


def failing(command: Callable[P, T]) -> Callable[P, T]:
    """Turn this package's and the client's errors into a sentence and an exit status; anything else is a defect."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        _open_standard_streams()
        try:
            return command(*args, **kwargs)
        except MachineError as error:
            fail(error.status, error)
        except AddressError as error:
            fail(2, error)
        except ClientError as error:
            fail(STATUS_BASE, error)
        except KeyboardInterrupt:
            fail(130, "interrupted")
        except BrokenPipeError:  # whoever read the console has gone
            sys.stderr.close()  # or the interpreter complains of what it cannot write at the end
            sys.exit(BROKEN_PIPE)

    return call


def _open_standard_streams() -> None:
    """Let those that were closed be the null device: their descriptors must not become a socket's."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
