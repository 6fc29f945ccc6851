"""What a run is asked to be: the options of `vgicctl run`, checked against each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from vgicd_client.ctl.session import ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Settings:
    """The options by their names; sizes in their options' units."""

    image: Path
    cpus: int | None = None
    ram: int = 128
    initrd: Path | None = None
    append: str | None = None
    dtb: Path | None = None
    dump_dtb: Path | None = None
    firmware: bool = False
    load_address: int | None = None
    connect: str | None = None
    private: bool = False
    in_process: bool = False
    variant: str = "correct"
    spis: int = 64
    lrs: int = 4
    anew: bool = False
    on_reset: str = "exit"
    seed: int = 0
    deterministic: bool = False
    timeout: float | None = None
    patience: float = 0
    held: bool = False
    paced: bool | None = None
    typed: bool | None = None
    log: Path | None = None
    audit: bool = False
    stats: bool = False
    gdb: str | None = None
    gdb_wait: bool = False
    json: bool = False

    def check(self) -> None:
        """Raises `click.UsageError` for options that contradict each other, those of the environment excepted."""
        ways = (("--connect", self.connect is not None), ("--private", self.private), ("--in-process", self.in_process))
        chosen = [name for name, given in ways if given]
        if len(chosen) > 1:
            raise click.UsageError(f"{' and '.join(chosen)} exclude each other.")
        if self.gdb_wait and self.gdb is None:
            raise click.UsageError("--gdb-wait is for the gdb that --gdb serves.")
        if self.deterministic and self.paced:
            raise click.UsageError("--deterministic and --paced exclude each other: the clock is never the same.")
        if self.deterministic and self.types_on_terminal:
            raise click.UsageError("--deterministic refuses keys from a terminal: add --no-input, or pipe them in.")

    def connected(self, environment: str | None, shaped: Iterable[str] = ()) -> Settings:
        """The same with the daemon that `environment` names, unless another way was asked for.

        `shaped` are the options that were given and say what a daemon of the run's own is like.  Raises
        `click.UsageError` if that is what there will not be.
        """
        named = self.connect is not None or self.private or self.in_process
        settings = self if named or not environment else replace(self, connect=environment)
        if settings.connect is None:
            if self.anew:
                raise click.UsageError("--reset is for a daemon that has served before, which --connect names.")
        elif options := list(shaped):
            where = settings.connect if named else f"{settings.connect} ({ENVIRONMENT})"
            raise click.UsageError(
                f"{' and '.join(options)}: the domain at {where} has its own; leave that out"
                + ("." if named else ", or add --private.")
            )
        return settings

    @property
    def types_on_terminal(self) -> bool:
        """Whether the guest's keys come from a terminal that is this run's alone."""
        if self.typed is None:
            return not self.deterministic and sys.stdin.isatty() and sys.stdout.isatty()
        return self.typed and sys.stdin.isatty()

    @property
    def hears(self) -> bool:
        """Whether standard input is the guest's."""
        return self.types_on_terminal or bool(self.typed)

    @property
    def is_paced(self) -> bool:
        """Whether the guest's time keeps to the clock."""
        return self.types_on_terminal if self.paced is None else self.paced
