"""The command line as a user meets it: a process, its exit code and one sentence on standard error."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vgicd import cli, config, defects
from vgicd.vgic import variants
from vgicd_protocol import framing, messages, session
from vgicd_protocol.frames import Opcode

VGICD = [sys.executable, "-m", "vgicd.cli"]
PATIENCE = 30


def run(*arguments: str, **environment: str) -> Result:
    """`vgicd` with `arguments`, which must not start a daemon, within this process."""
    return CliRunner(env=environment).invoke(cli.main, arguments, prog_name="vgicd")


@contextmanager
def daemon(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A running daemon whose first log line has come; killed if the test has not ended it."""
    process = subprocess.Popen([*VGICD, "serve", *arguments], stderr=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def log_line(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """The next line of `event` in the daemon's log."""
    assert process.stderr is not None
    for line in process.stderr:
        fields: dict[str, Any] = json.loads(line)
        if fields["event"] == event:
            return fields
    raise AssertionError(f"the daemon ended without {event}")


def connected(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.settimeout(PATIENCE)
    sock.connect(str(path))
    body = messages.build_request(Opcode.HELLO, session.Hello().fields())
    sock.sendall(framing.request(Opcode.HELLO, 1, body))
    assert sock.recv(65536)[5] == 0x81
    return sock


def test_version_and_help() -> None:
    version = run("--version")
    assert (version.exit_code, version.stdout) == (0, "vgicd, version 0.1.0\n")
    for arguments in ([], ["serve"], ["check-config"], ["completion"]):
        shown = run(*arguments, "--help")
        assert shown.exit_code == 0
        assert "Usage: " in shown.stdout


def test_every_option_of_the_domain_has_a_flag_with_its_default() -> None:
    shown = " ".join(run("serve", "--help").stdout.split())
    for row in config.SECTIONS["domain"]:
        assert f"--{row.key.replace('_', '-')}" in shown
    assert "[default: 4]" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_what_was_asked_and_exits_zero(tmp_path: Path, number: int) -> None:
    path = tmp_path / "s"
    with daemon("--unix", str(path), "--vcpus", "2", "--name", "web") as process:
        ready = log_line(process, "serve.ready")
        assert (ready["name"], ready["vcpus"], ready["addresses"]) == ("web", 2, [f"unix:{path}"])
        with connected(path) as peer:
            peer.sendall(framing.hot_request(Opcode.READ, 7, 0, 4, 1, 4) * 50)
            process.send_signal(number)
            received = b""
            while data := peer.recv(65536):
                received += data
        replies = [framing.reply_of(frame) for frame in framing.FrameReader(smallest=24).feed(received)]
        assert [reply.opcode for reply in replies] == [Opcode.READ] * 50 + [Opcode.BYE]
        assert process.wait(PATIENCE) == 0
        assert not path.exists()


def test_a_busy_path_is_refused_and_a_dead_daemons_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with daemon("--unix", str(path)) as first:
        log_line(first, "serve.ready")
        second = run("serve", "--unix", str(path))
        assert second.exit_code == 1
        assert second.stderr == f"vgicd: {path} is held by a running daemon; stop that one or name another path.\n"
        connected(path).close()
        first.kill()
        first.wait(PATIENCE)
    assert path.exists()
    with daemon("--unix", str(path)) as third:
        log_line(third, "serve.ready")
        connected(path).close()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--tcp", "0.0.0.0:0"], 2, "is not a loopback address"),
        (["--tcp", "nonsense"], 2, "is not HOST:PORT"),
        (["--tcp", "5555"], 2, "'5555' is not HOST:PORT"),
        (["--tcp", "::1:5555"], 2, "write an IPv6 address as [ADDRESS]:PORT"),
        (["--unix", "/" + "x" * 120], 2, "is longer than the 107 bytes"),
        (["--unix", "/nonexistent/s"], 1, "cannot be listened on: No such file or directory"),
        (["--gdb", "tcp:0.0.0.0:0"], 2, "reach it from elsewhere with `ssh -L PORT:127.0.0.1:PORT HOST`"),
        (["--gdb", "7000"], 2, "'7000' is no address for gdb: write unix:PATH, tcp:HOST:PORT or default."),
        (["--gdb", "unix:/nonexistent/g"], 1, "/nonexistent/g cannot be listened on"),
        (["--qtest", "tcp:0.0.0.0:0"], 2, "qtest speaks without encryption or passwords"),
        (["--qtest-gic-path", "/gic"], 2, "qtest.gic_path does nothing without qtest: add --qtest."),
        (["--qtest", "--qtest-gic-path", "gic"], 2, "qtest: 'gic' is not a QOM path"),
        (["--gdb-arch", "mips"], 2, "'mips' is not one of 'auto', 'x86-64', 'aarch64', 'arm'"),
        (["--gdb-irq-name", "33"], 2, "'33' is not INTID=NAME with an INTID from 0 to 1019."),
        (["--vcpus", "9"], 2, "domain.vcpus is 1 to 8, not 9"),
        (["--vcpus", "many"], 2, "'many' is not a whole number"),
        (["--spis", "0x400"], 2, "domain.spis is 0 to 960, not 1024"),
        (["--variant", "zen"], 2, "'zen' is not one of"),
        (["--xen-without", "D2"], 2, "only variant xen has defects"),
        (["--gic-version", "3"], 2, "vgicd: GICv3 is not supported: Xen's new VGIC refuses it (-22).\n"),
        (["--name", "a b"], 2, "the name 'a b' is not"),
        (["--set", "limits.hello_second=1"], 2, "did you mean 'hello_seconds'?"),
        (["--set", "limit.hello=1"], 2, "there is no section 'limit'"),
        (["--set", "nonsense"], 2, "--set takes SECTION.KEY=VALUE"),
        (["--set", "access.guest=['no-such-user-here']"], 2, "access.guest: there is no user 'no-such-user-here'."),
        (["--config", "/nonexistent"], 2, "/nonexistent cannot be read: No such file or directory"),
        (["--frobnicate"], 2, "No such option"),
    ],
)
def test_what_cannot_start_says_why_in_a_sentence(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    refused = run("serve", "--unix", str(tmp_path / "s"), *arguments)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "s").exists()


def test_check_config_says_what_serve_would(tmp_path: Path) -> None:
    file = tmp_path / "vgicd.toml"
    file.write_text('name = "web"\n[domain]\nvariant = "xen"\nxen_without = ["D2"]\n[listen]\nunix = ["/nowhere/s"]\n')
    good = run("check-config", str(file))
    assert (good.exit_code, good.stdout, good.stderr) == (0, f"{file}: good\n", "")
    file.write_text('[domain]\nxen_without = ["D99"]\nvariant = "xen"\n')
    bad = run("check-config", str(file))
    assert bad.exit_code == 2
    assert "D99 is no defect of Xen's" in bad.stderr
    assert bad.stderr.startswith(f"vgicd: {file}: ")
    file.write_text('[access]\ncontrol = ["@no-such-group-here"]\n')
    nobody = run("check-config", str(file))
    assert nobody.exit_code == 2
    assert nobody.stderr == f"vgicd: {file}: access.control: there is no group 'no-such-group-here'.\n"
    file.write_text("[domain]\nvcpu = 3\n")
    mistaken = run("check-config", str(file))
    assert mistaken.stderr == f"vgicd: {file}: unknown key 'vcpu' in [domain]; did you mean 'vcpus'?\n"
    for listen, words in (
        ('tcp = ["0.0.0.0:5555"]', "is not a loopback address"),
        ('tcp = ["127.0.0.1"]', "is not HOST:PORT"),
        (f'unixpacket = ["/{"x" * 120}"]', "is longer than the 107 bytes"),
    ):
        file.write_text(f"[listen]\n{listen}\n")
        unreachable = run("check-config", str(file))
        assert (unreachable.exit_code, unreachable.stdout) == (2, "")
        assert words in unreachable.stderr


def test_the_defaults_are_a_file_that_changes_nothing(tmp_path: Path) -> None:
    printed = run("check-config", "--defaults")
    assert (printed.exit_code, printed.stderr) == (0, "")
    file = tmp_path / "vgicd.toml"
    file.write_text(printed.stdout)
    assert run("check-config", str(file)).stdout == f"{file}: good\n"
    assert config.load(file) == config.Config()


def test_the_defaults_name_and_explain_every_option() -> None:
    printed = run("check-config", "--defaults").stdout
    words = " ".join(printed.replace("\n# ", " ").split())
    for section, rows in config.SECTIONS.items():
        _, found, rest = printed.partition(f"\n[{section}]\n")
        assert found
        keys = [
            line.removeprefix("# ").split(" =")[0] for line in rest.partition("\n[")[0].splitlines() if " =" in line
        ]
        assert keys == [row.key for row in rows]
        assert all(row.option.help in words for row in rows)
    assert "socket_mode = 0o660" in printed
    assert "1 to 8" in printed
    assert '"correct" | "xen"' in printed


@pytest.mark.parametrize("arguments", [[], ["--defaults", "vgicd.toml"]])
def test_check_config_takes_a_file_or_prints_one(arguments: list[str]) -> None:
    refused = run("check-config", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Give either FILE or --defaults." in refused.stderr


def test_defects_lists_every_one_that_can_be_switched_off() -> None:
    printed = run("defects")
    assert printed.exit_code == 0
    listed = [line.split()[0] for line in printed.stdout.partition("\n\n")[0].splitlines()[1:]]
    assert listed == list(variants.DEFECTS) == [f"D{number}" for number in range(1, 22)]
    found = json.loads(run("defects", "--json").stdout)
    assert set(found) == {"defects", "baseline"}
    assert list(found["defects"]) == listed
    assert all(about.endswith(".") for about in found["defects"].values())
    assert all(about in printed.stdout for part in found.values() for about in part.values())


def test_defects_leaves_no_setting_of_the_baseline_out() -> None:
    """What variant xen sets without a docstring is described by hand: this finds what was forgotten."""
    settings = {
        name for name, value in vars(variants.XenBaseline).items() if not (callable(value) or name.startswith("__"))
    }
    described = json.loads(run("defects", "--json").stdout)["baseline"]
    assert settings - {"frame"} == set(defects.CHOICES)
    assert set(defects.CHOICES) | {"GICD_IGROUPR", "untargeted"} <= set(described)


def test_the_log_says_how_many_interrupts_there_are_after_rounding(tmp_path: Path) -> None:
    with daemon("--unix", str(tmp_path / "s"), "--spis", "33") as process:
        assert log_line(process, "serve.ready")["spis"] == 64


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "vgicd.toml"
    file.write_text(f'[domain]\nvcpus = 4\nlrs = 8\n[listen]\nunix = ["{tmp_path / "file"}"]\n')
    path = tmp_path / "line"
    arguments = ("--config", str(file), "--unix", str(path), "--vcpus", "2", "--set", "limits.waits=3")
    with daemon(*arguments) as process:
        ready = log_line(process, "serve.ready")
        assert (ready["vcpus"], ready["lrs"], ready["addresses"]) == (2, 8, [f"unix:{path}"])


def test_the_flag_for_gdb_may_stand_alone(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    arguments = ("--gdb", "--gdb-irq-name", "33=uart0", "--gdb", "tcp:127.0.0.1:0", "--gdb-arch", "arm")
    with daemon("--unix", str(path), *arguments) as process:
        beside, port = log_line(process, "serve.ready")["gdb"]
        assert beside == f"unix:{tmp_path}/web.gdb"
        assert port.startswith("tcp:127.0.0.1:")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert not (tmp_path / "web.gdb").exists()


def test_the_flag_for_qtest_may_stand_alone(tmp_path: Path) -> None:
    arguments = ("--qtest", "--qtest-gic-path", "/machine/gic", "--qtest-cpu-path", "/machine/cpu")
    with daemon("--unix", str(tmp_path / "web.sock"), *arguments) as process:
        assert log_line(process, "serve.ready")["qtest"] == [f"unix:{tmp_path}/web.qtest"]
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(tmp_path / "web.qtest"))
            sock.sendall(b"irq_intercept_in /machine/cpu\nset_irq_in gic unnamed-gpio-in 0 1\n")
            with sock.makefile("rb") as answers:
                assert [answers.readline(), answers.readline()] == [b"OK\n", b"OK\n"]


def test_a_configuration_that_may_be_absent(tmp_path: Path) -> None:
    file = tmp_path / "vgicd.toml"
    for lrs in (4, 9):
        with daemon("--config-if-exists", str(file), "--unix", str(tmp_path / "s")) as process:
            assert log_line(process, "serve.ready")["lrs"] == lrs
        file.write_text("[domain]\nlrs = 9\n")


def test_without_an_address_the_name_is_the_address(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root's default is under /run, which a test leaves alone")
    with daemon("--name", "web", env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}) as process:
        assert log_line(process, "serve.ready")["addresses"] == [f"unix:{tmp_path}/vgicd/web.sock"]


def test_logs_are_json_lines_of_events(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with daemon("--unix", str(path)) as process:
        log_line(process, "serve.ready")
        connected(path).close()
        opened, closed = log_line(process, "conn.open"), log_line(process, "conn.close")
        assert list(opened)[:4] == ["timestamp", "level", "priority", "event"]
        assert (opened["uid"], opened["pid"], opened["transport"]) == (os.getuid(), os.getpid(), "unix")
        assert (closed["session"], closed["reason"]) == (opened["session"], "peer closed")
        process.terminate()
        assert log_line(process, "serve.stopping")["reason"] == "SIGTERM"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    script = run("completion", shell)
    assert script.exit_code == 0
    assert "_VGICD_COMPLETE" in script.stdout


def test_a_daemon_that_is_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    """kill -9 and a new start, three times in a row: nothing has to be removed by hand."""
    path = tmp_path / "s"
    for _ in range(3):
        with daemon("--unix", str(path)) as process:
            log_line(process, "serve.ready")
            began = time.monotonic()
            process.kill()
            process.wait(PATIENCE)
            assert time.monotonic() - began < PATIENCE
