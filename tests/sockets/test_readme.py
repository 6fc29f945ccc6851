"""The README's tour is what happens: every command of it is run, and must print what the page shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from vgicd import cli, config
from vgicd.server import daemon
from vgicd_client import private_daemon
from vgicd_client.ctl import main as ctl

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The README's fenced blocks of one kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each `vgicctl` command that the README shows with its output."""
    pairs = []
    for block in blocks("console"):
        for command, output in re.findall(r"^\$ (vgicctl .*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if output:
                pairs.append((command, output))
    return pairs


def run(example: str) -> None:
    """Run a Python program of the README."""
    exec(compile(example, "README.md", "exec"), {})


def stripped(text: str) -> str:
    """`text` without blanks at the ends of its lines, which a page does not show."""
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with private_daemon(vcpus=2, spis=64) as started:
        yield started.address


def test_the_tour_prints_what_the_readme_shows(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program at its end finds the daemon as the commands have left it."""
    environment = os.environ | {"VGICD_ADDRESS": address}
    shown = commands()
    assert len(shown) >= 12
    for command, expected in shown:
        arguments = [sys.executable, "-m", "vgicd_client.ctl.main", *shlex.split(command)[1:]]
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (command, stripped(done.stdout), done.stderr) == (command, expected, "")
    example = blocks("python")[0]
    assert example.count('"unix:demo.sock"') == 1
    run(example.replace("unix:demo.sock", address))
    assert capsys.readouterr().out == blocks("text")[0]


def test_the_blocking_example_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    _, example = blocks("python")
    run(example)
    assert capsys.readouterr().out == blocks("text")[1]


def test_the_tour_waits_until_its_daemon_answers(tmp_path: Path) -> None:
    """The commands before the first answer, in a shell: they end, and their log is not on the terminal."""
    (start,) = (block for block in blocks("console") if "2>demo.log" in block)
    script = "".join(f"{line.removeprefix('$ ')}\n" for line in start.splitlines()) + "vgicctl --json info; kill %1\n"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["vcpus"] == 2
    assert "serve.ready" in (tmp_path / "demo.log").read_text()


def test_the_configuration_of_the_readme_is_one() -> None:
    (example,) = blocks("toml")
    daemon.check(config.parse(tomllib.loads(example), "README.md"))


def test_the_programs_have_the_commands_that_the_readme_names() -> None:
    """Subcommands only; the outputs of those shown with one are compared above."""
    for program, group in (("vgicd", cli.main), ("vgicctl", ctl.main)):
        named = set(re.findall(rf"(?:^\$ |`){program} ([a-z]+(?:-[a-z]+)*)", README, re.MULTILINE))
        assert len(named) >= 3
        assert sorted(named - set(group.list_commands(click.Context(group)))) == []


def test_every_file_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"\]\(([^)#:]+)\)", README)) | set(re.findall(r"`((?:systemd|protocol)/[^`*]+)`", README))
    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
