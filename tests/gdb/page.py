"""docs/gdb.md, played: every command on the page is run, and what it prints is put where the page shows it.

Blocks of kind `console` are a shell's, those of kind `gdb` are gdb's; both go on from block to block.  A command of the
shell that ends with & runs beside the others, and what it prints is not shown.  After `detach` the next block is a new
gdb's.  `python -m tests.gdb.page` writes the page anew with what is printed today.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir, suppress
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from tests.gdb import gdbs
from tests.gdb.transcript import Session
from vgicd_client.ctl.main import main

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "gdb.md"
_BLOCK: Final = re.compile(r"^```(console|gdb)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SOCKET: Final = "demo.gdb"
_PATIENCE: Final = 60


class Player:
    """A shell and a gdb in a folder of their own. A context manager; what was started ends with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self._beside: list[subprocess.Popen[bytes]] = []
        self._session: Session | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            self._end_session()
        finally:
            for process in self._beside:
                with suppress(ProcessLookupError):  # the shell and whatever it has started that still runs
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait(_PATIENCE)
            self._stack.close()

    def played(self, kind: str, block: str) -> str:
        """`block` with the output that its commands have now."""
        prompt = "$ " if kind == "console" else "(gdb) "
        commands = [line.removeprefix(prompt) for line in block.splitlines() if line.startswith(prompt)]
        run = self._shell if kind == "console" else self._gdb
        return "".join(f"{prompt}{command}\n{run(command)}" for command in commands)

    def _shell(self, command: str) -> str:
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self._environment[name] = value
            return ""
        if command.endswith("&"):
            line = ["bash", "-c", command.removesuffix("&")]
            self._beside.append(
                subprocess.Popen(
                    line, cwd=self._folder, env=self._environment, stdout=subprocess.DEVNULL, process_group=0
                )
            )
            return ""
        if command.startswith("vgicctl ") and not set("&|<>;()$*") & set(command):
            return self._vgicctl(command.split()[1:])
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode or done.stderr:
            raise AssertionError(f"{command}: status {done.returncode}: {done.stderr}")
        return _lines(done.stdout)

    def _vgicctl(self, arguments: list[str]) -> str:
        """In this process: to start one takes longer than all that the page does."""
        environment = {key: self._environment.get(key) for key in ("VGICD_ADDRESS", "PATH")}
        with chdir(self._folder):
            done = CliRunner(env=environment).invoke(main, arguments, prog_name="vgicctl")
        if done.exit_code or done.stderr:
            raise AssertionError(f"vgicctl {arguments}: status {done.exit_code}: {done.stderr}") from done.exception
        return _lines(done.stdout)

    def _gdb(self, command: str) -> str:
        if self._session is None:
            session = Session(gdbs.find("plain"), str(self._folder / _SOCKET))
            self._session = self._stack.enter_context(session)
            session.run(f"cd {self._folder}")
        tap = str(self._session.tap.path)
        shown = self._session.run(command.replace(_SOCKET, tap))
        if command == "detach":
            self._end_session()
        return _lines(shown.replace(tap, _SOCKET))

    def _end_session(self) -> None:
        if self._session is not None:
            self._session = None
            self._stack.close()


def _lines(text: str) -> str:
    """`text` as a page shows it: no blanks at the ends of lines, no blank lines around."""
    stripped = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    return f"{stripped}\n" if stripped else ""


def parts(page: str) -> Iterator[tuple[str, str]]:
    """The page in order: ("", what is not played) and (kind, block)."""
    at = 0
    for block in _BLOCK.finditer(page):
        yield "", page[at : block.start()]
        yield block[1], block[2]
        at = block.end()
    yield "", page[at:]


def played(page: str, folder: Path) -> str:
    """The page with today's output."""
    with Player(folder) as player:
        return "".join(f"```{kind}\n{player.played(kind, text)}```" if kind else text for kind, text in parts(page))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(played(PAGE.read_text(encoding="utf-8"), Path(scratch)), encoding="utf-8")
