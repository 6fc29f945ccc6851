"""`vgicctl gdb`: one command to a gdb that is connected and has the extension."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.gdb.extension import EXTENSION
from tests.gdb.gdbs import Gdb
from tests.tools import unavailable
from vgicd_client import PrivateDaemon, Space, addresses, connect, private_daemon
from vgicd_client.addresses import parse
from vgicd_client.ctl.gdb import beside, extension, options
from vgicd_client.ctl.main import main
from vgicd_client.ctl.rsp import architecture
from vgicd_client.errors import AddressError

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.gdbs("plain")


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    """With gdb's socket where it is by default."""
    with private_daemon("--gdb", "--gdb-arch", "x86-64", vcpus=2) as running:
        yield running


def vgicctl(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "VGICD_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-m", "vgicd_client.ctl.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=clean | (env or {}),
    )


BATCH = ("-nx", "-batch", "-ex", "info threads", "-ex", "vgic status", "-ex", "output gich.LR[3]")


def test_gdb_is_connected_has_symbols_and_the_commands(daemon: PrivateDaemon, gdb: Gdb) -> None:
    address = daemon.address
    done = vgicctl("--address", address, "gdb", "--gdb", gdb.command[0], "--", *BATCH)
    assert (done.returncode, "does not know" in done.stderr) == (0, False), done.stderr
    assert 'Thread 1.2 "vcpu1"' in done.stdout
    assert f"{address}: domain default" in done.stdout
    assert "lines are driven through the target, vgicd " in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("<LR empty>")
    again = vgicctl("gdb", "--gdb", gdb.command[0], "--", *BATCH, env={"VGICD_ADDRESS": address})
    assert again.stdout == done.stdout


def test_the_socket_can_be_named_and_the_extension_finds_the_daemon_beside_it(daemon: PrivateDaemon, gdb: Gdb) -> None:
    done = vgicctl("gdb", "--rsp", f"{daemon.address}.gdb", "--gdb", gdb.command[0], "--", *BATCH)
    assert f"{daemon.address}: domain default" in done.stdout


def test_symbols_are_loaded_although_a_program_is_named_or_not_at_all(daemon: PrivateDaemon, gdb: Gdb) -> None:
    rsp = ("gdb", "--rsp", f"{daemon.address}.gdb", "--gdb", gdb.command[0])
    program = ("-nx", "-batch", "-ex", "output gich.LR[3]", sys.executable)
    assert vgicctl(*rsp, "--symbols", "--", *program).stdout.rstrip().splitlines()[-1].startswith("<LR empty>")
    assert "<LR" not in vgicctl(*rsp, "--", *program).stdout
    bare = vgicctl(*rsp, "--no-symbols", "--", *BATCH)
    assert "vcpu1" in bare.stdout
    assert "Reading symbols" not in bare.stdout
    assert "No symbol table is loaded" in bare.stderr


def test_an_architecture_that_gdb_does_not_know_is_told_first(gdb: Gdb, tmp_path: Path) -> None:
    """Otherwise gdb only says "Truncated register 37 in remote 'g' packet"."""
    endpoint = tmp_path / "d.gdb"
    with (
        private_daemon(f"--gdb=unix:{endpoint}", "--gdb-arch=aarch64") as daemon,
        connect(daemon.address, "guest", timeout=10) as guest,
        addresses.open_socket(parse(f"unix:{endpoint}"), 10) as sock,
    ):
        assert architecture(sock, 10) == "aarch64"
        guest.read(0, Space.GICC, 0x00C)  # nobody is held, although the other is still connected
        done = vgicctl("gdb", "--rsp", str(endpoint), "--gdb", gdb.command[0], "--", "-nx", "-batch")
    told = done.stderr.splitlines()[0]
    assert told.startswith(f"vgicctl: {gdb.command[0]} does not know aarch64, ")
    assert "use gdb-multiarch" in told


def test_what_is_no_gdb_server_has_no_architecture() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"+$" + b"x" * 0x3000)
        assert architecture(ours, 10) == ""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert architecture(ours, 0.01) == ""


def invoked(*arguments: str, **environment: str | None) -> Result:
    """vgicctl with these arguments in this process; for what does not become a gdb."""
    return CliRunner(env={"VGICD_ADDRESS": None} | environment).invoke(main, arguments, prog_name="vgicctl")


def test_a_daemon_without_an_endpoint_is_told_how_to_have_one(tmp_path: Path) -> None:
    done = invoked("--address", f"unix:{tmp_path / 'silent.sock'}", "gdb")
    assert done.exit_code == 3
    assert f"nobody serves gdb at unix:{tmp_path / 'silent.gdb'} " in done.stderr
    assert "start the daemon with `vgicd serve --gdb`, or name its gdb socket with --rsp" in done.stderr


def test_it_waits_for_a_daemon_that_is_about_to_come(tmp_path: Path, gdb: Gdb) -> None:
    address = f"unix:{tmp_path / 'd.sock'}"
    clean = {key: value for key, value in os.environ.items() if key != "VGICD_ADDRESS"}
    batch = ("gdb", "--gdb", gdb.command[0], "--", *BATCH)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "vgicd_client.ctl.main", "-a", address, "--wait", "60", *batch],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=clean,
    )
    endpoint = f"--gdb=unix:{tmp_path / 'd.gdb'}"
    with private_daemon("--unix", address.removeprefix("unix:"), endpoint, "--gdb-arch", "x86-64", vcpus=2):
        said, _ = waiting.communicate(timeout=60)
    assert f"{address}: domain default" in said
    assert 'Thread 1.2 "vcpu1"' in said


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("gdb", "--gdb", "gdb-of-nobody"), 1, "gdb-of-nobody is not on PATH: name another with --gdb"),
        (("-a", "tcp:127.0.0.1:9", "gdb"), 2, "has no gdb socket beside it: name one with --rsp"),
        (("gdb", "--rsp", "seqpacket:/tmp/x"), 2, "gdb speaks over unix:PATH or tcp:HOST:PORT"),
        (
            ("gdb", "--rsp", "nowhere:at"),
            2,
            "'nowhere:at' is no address of a gdb server, a path, HOST:PORT or unix:PATH",
        ),
        (("gdb", "--rsp", "no-such.gdb"), 3, "nobody serves gdb at unix:no-such.gdb (No such file or directory)"),
        (("gdb", "--rsp", "tcp:127.0.0.1:1"), 3, "nobody serves gdb at tcp:127.0.0.1:1 (Connection refused)"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    done = invoked(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_a_missing_gdb_is_a_package_to_install() -> None:
    done = invoked("gdb", "--gdb", "gdb-multiarch", PATH="/nowhere")
    assert done.exit_code == 1
    assert "gdb-multiarch is not on PATH: install Debian's package gdb-multiarch" in done.stderr


def test_print_init_is_what_a_gdbinit_takes(gdb: Gdb, tmp_path: Path) -> None:
    init = tmp_path / "init"
    init.write_text(invoked("gdb", "--print-init").stdout, encoding="utf-8")
    done = subprocess.run(
        [*gdb.command, "-batch", "-x", str(init), "-ex", "help vgic lrs"],
        capture_output=True,
        text=True,
        env=dict(gdb.environment),
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("Show the list registers: vgic lrs [VCPU]\n")
    assert done.stderr == ""


def test_addresses_become_what_gdb_takes() -> None:
    assert str(beside(parse("unix:/run/vgicd/demo.sock"))) == "unix:/run/vgicd/demo.gdb"
    assert str(beside(parse("seqpacket:/run/vgicd/demo.packet"))) == "unix:/run/vgicd/demo.gdb"
    with pytest.raises(AddressError):
        beside(parse("tcp:localhost:7000"))
    assert options(parse("tcp:[::1]:7000"), None)[-1] == "target remote [::1]:7000"
    assert options(parse("/run/d.gdb"), True)[-2:] == ["-ex", "add-symbol-file target:/vgicd.elf"]
    assert extension() == EXTENSION


@pytest.mark.long
def test_a_wheel_carries_the_extension_where_the_launcher_looks(tmp_path: Path) -> None:
    build = Path(sys.executable).with_name("hatchling")
    if not build.exists():
        unavailable("hatchling is not installed: `make setup` installs it")
    subprocess.run([build, "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("vgicd_client/gdb/vgicd_gdb.py") == EXTENSION.read_bytes()
        archive.extractall(tmp_path / "site")
    program = "from vgicd_client.ctl.gdb import extension; print(extension())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "site" / "vgicd_client" / "gdb" / "vgicd_gdb.py")
