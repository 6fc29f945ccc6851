"""`vgicctl run`: an AArch64 guest on the daemon. The command is the machine's, found when it is used."""

from __future__ import annotations

from typing import Any, Final

import click


class _Machines(click.Command):
    """Stands for the command, whose package is not imported for the others' sake."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the machine's own command."""
        from vgicd_machine.command import main  # noqa: PLC0415 - see above

        return main.make_context(info_name, args, parent, **extra)


run: Final = _Machines("run", short_help="Run an AArch64 guest whose interrupt controller is a vgicd daemon.")
