"""The MI commands of the in-gdb extension: structured results for programs that drive gdb."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from pygdbmi import gdbmiparser

from tests.gdb.extension import EXTENSION, set_up
from tests.gdb.gdbs import Gdb
from vgicd_client import Client, PrivateDaemon, connect, private_daemon

pytestmark = pytest.mark.gdbs("plain", "multiarch", "new")


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=2, spis=64) as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    with connect(daemon.address, "control") as client:
        set_up(client)
        yield client


def results(gdb: Gdb, address: str, *commands: str) -> list[dict[str, Any]]:
    """The result records of MI commands, in their order."""
    lines = [f'-interpreter-exec console "{text}"' for text in (f"source {EXTENSION}", f"vgic connect {address}")]
    lines += [*commands, "-gdb-exit"]
    numbered = "".join(f"{number}{line}\n" for number, line in enumerate(lines, 1))
    done = subprocess.run(
        [*gdb.command, "--interpreter=mi4"],
        input=numbered,
        capture_output=True,
        text=True,
        env=dict(gdb.environment),
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "internal-error" not in done.stdout + done.stderr
    records = [gdbmiparser.parse_response(line) for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert [record["token"] for record in records] == [*range(1, len(lines) + 1)]
    return records[2:-1]


def test_list_registers_are_structured(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> None:
    everybody, one = results(gdb, daemon.address, "-vgic-lrs", "-vgic-lrs 1+0")
    assert everybody["message"] == "done"
    first, second = everybody["payload"]["vcpus"]
    assert (first["vcpu"], first["inside"], first["used"], second["used"]) == ("0", "1", "2", "0")
    assert int(first["hcr"], 16) == gic.lr_get(0).hcr
    assert [int(lr["word"], 16) for lr in first["lrs"]] == list(gic.lr_get(0).lrs)
    held = {lr["VirtualID"]: lr for lr in first["lrs"] if lr["State"] != "0"}
    assert set(held) == {"33", "40"}
    assert held["33"]["text"] == "<LR virq=33 PENDING prio=0xa0>"
    assert held["40"]["Priority"] == str(0x80)
    assert [vcpu["vcpu"] for vcpu in one["payload"]["vcpus"]] == ["1"]


def test_the_state_is_structured(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> None:
    short, long = results(gdb, daemon.address, "-vgic-state", "-vgic-state all")
    state = short["payload"]
    assert state["domain"] == "default"
    assert state["geometry"] == {"vcpus": "2", "spis": "64", "lrs": "4"}
    assert int(state["order"]) == gic.order
    assert [irq["intid"] for irq in state["irqs"]] == ["27", "33", "40"]
    assert state["irqs"][1] | {"pending": "1", "priority": str(0xA0), "is-level": "0"} == state["irqs"][1]
    assert len(long["payload"]["irqs"]) == 2 * 32 + 64
    assert len(state["vcpus"]) == 2


def test_mistakes_are_error_records(gdb: Gdb, daemon: PrivateDaemon, gic: Client) -> None:
    far, many, odd, unknown = results(
        gdb, daemon.address, "-vgic-lrs 7", "-vgic-lrs 0 1", "-vgic-state some", "-vgic-lrs nothing"
    )
    for record, sentence in (
        (far, "vCPU 7 does not exist: the domain has 2, from 0"),
        (many, "usage: -vgic-lrs [VCPU]"),
        (odd, "usage: -vgic-state [all]"),
        (unknown, '"nothing" is no number'),
    ):
        assert record["message"] == "error"
        assert sentence in record["payload"]["msg"].replace('\\"', '"')


def test_a_daemon_that_is_gone_is_an_error_record(gdb: Gdb) -> None:
    lost, _ = results(gdb, "unix:/nowhere/at.all", "-vgic-lrs", "-vgic-state")
    assert lost["message"] == "error"
    assert "unix:/nowhere/at.all: cannot connect: No such file or directory" in lost["payload"]["msg"]
