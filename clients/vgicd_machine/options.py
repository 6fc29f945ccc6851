"""What the two commands of this package share: the geometry of a private daemon, and how a failure ends."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Final, NoReturn, ParamSpec, TypeVar

import click

from vgicd_client import AddressError, ClientError
from vgicd_machine.errors import STATUS_BASE, MachineError

P = ParamSpec("P")
T = TypeVar("T")

INTERRUPTED: Final = 130  # as a shell says that SIGINT ended a program


def geometry(command: Callable[P, T]) -> Callable[P, T]:
    """Add `--lrs`, `--spis` and `--variant`."""
    for option in (
        click.option("--variant", type=click.Choice(["correct", "xen"]), default="correct", show_default=True),
        click.option("--spis", type=click.IntRange(0, 960), default=64, show_default=True),
        click.option("--lrs", type=click.IntRange(1, 64), default=4, show_default=True, help="List registers per CPU."),
    ):
        command = option(command)
    return command


def write_now(text: str) -> None:
    """The guest's console: on standard output at once, whoever reads it."""
    sys.stdout.write(text)
    sys.stdout.flush()


def fail(status: int, text: object) -> NoReturn:
    """End with `status` and a sentence on standard error."""
    sys.stdout.flush()
    click.echo(f"vgicd_machine: {text}", err=True)
    sys.exit(status)


def failing(command: Callable[P, T]) -> Callable[P, T]:
    """Turn this package's and the client's errors into a sentence and an exit status; anything else is a defect."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except MachineError as error:
            fail(error.status, error)
        except AddressError as error:
            fail(2, error)
        except ClientError as error:
            fail(STATUS_BASE, error)
        except KeyboardInterrupt:
            fail(INTERRUPTED, "interrupted")

    return call
