"""Both clients against a real daemon: every method, over every transport."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.tools import require_tool
from vgicd_client import (
    Client,
    ConnectionLost,
    DaemonFailed,
    EffectKind,
    Entry,
    EventKind,
    Plane,
    PrivateDaemon,
    Refused,
    Space,
    Status,
    TrioClient,
    connect,
    private_daemon,
    private_daemon_async,
    requests,
)

CTLR, TYPER, ISENABLER1, IPRIORITYR40, ITARGETSR40 = 0x000, 0x004, 0x104, 0x428, 0x828
GICC_CTLR, PMR, IAR, EOIR = 0x000, 0x004, 0x00C, 0x010


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon(vcpus=2, spis=64, lrs=4, profile="xen-guest") as running:
        yield running


@pytest.fixture
def gic(daemon: PrivateDaemon) -> Iterator[Client]:
    """A client of a domain as after creation."""
    with connect(daemon.address) as client:
        assert client.reset({"vcpus": 2, "spis": 64, "lrs": 4}) == 0
        client.reconnect()  # the introduction is that of the domain at HELLO
        yield client


def bring_up(gic: Client) -> None:
    """Distributor and vCPU 0's interface on, SPI 40 level, enabled, for vCPU 0."""
    gic.write(0, Space.GICD, CTLR, 1)
    gic.write(0, Space.GICD, ITARGETSR40, 1, 1)
    gic.write(0, Space.GICD, ISENABLER1, 1 << 8)
    gic.write(0, Space.GICD, 0xC08, 0)
    gic.write(0, Space.GICC, PMR, 0xF8)
    gic.write(0, Space.GICC, GICC_CTLR, 1)


@pytest.mark.parametrize("transport", ["unix", "seqpacket", "tcp"])
def test_an_interrupt_is_taken_over_every_transport(transport: str) -> None:
    with private_daemon("--tcp", "127.0.0.1:0", vcpus=1) as daemon:
        addresses = {"unix": daemon.address, "seqpacket": daemon.seqpacket, "tcp": daemon.listening("tcp")}
        with connect(addresses[transport]) as gic:
            bring_up(gic)
            gic.line(40, 1)
            assert gic.outputs == 1
            assert gic.read(0, Space.GICC, IAR) == 40
            assert gic.outputs == 0
            gic.line(40, 0)
            gic.write(0, Space.GICC, EOIR, 40)
            assert gic.read(0, Space.GICC, IAR) == 1023


def test_peek_acknowledges_nothing(gic: Client) -> None:
    bring_up(gic)
    gic.line(40, 1)
    order = gic.order
    assert gic.peek(0, Space.GICC, IAR) == 40
    assert gic.outputs == 1
    assert gic.order == order, "a debug read is no operation"
    assert gic.read(0, Space.GICC, IAR) == 40


def test_a_pulse_triggers_an_edge_interrupt_once(gic: Client) -> None:
    bring_up(gic)
    gic.write(0, Space.GICD, 0xC08, 2 << 16)
    gic.pulse(40)
    assert gic.read(0, Space.GICC, IAR) == 40
    gic.write(0, Space.GICC, EOIR, 40)
    assert gic.read(0, Space.GICC, IAR) == 1023


def test_a_vector_is_many_operations_in_one(gic: Client) -> None:
    bring_up(gic)
    order = gic.order
    results = gic.vector(
        [Entry.driving(40, 1), Entry.reading(0, Space.GICC, IAR), Entry.writing(0, Space.GICC, EOIR, 40)]
    )
    assert [(r.value, r.fault, r.outputs) for r in results] == [(0, False, 1), (40, False, 0), (0, False, 1)]
    assert gic.order == order + 3


def test_a_vector_with_a_bad_entry_names_it_and_changes_nothing(gic: Client) -> None:
    before = gic.snapshot()
    with pytest.raises(Refused) as refused:
        gic.vector([Entry.driving(40, 1), Entry.driving(4000, 1)])
    assert "1" in refused.value.field
    assert gic.snapshot() == before


def test_explicit_world_switches_show_the_hardware(gic: Client) -> None:
    gic.mode(True)
    gic.write(0, Space.GICD, CTLR, 1)
    gic.write(0, Space.GICD, ITARGETSR40, 1, 1)
    gic.write(0, Space.GICD, ISENABLER1, 1 << 8)
    reply = gic.perform(requests.line(40, 1), effects=True)
    assert [e.kind for e in reply.effects] == [EffectKind.KICK]
    entered = gic.enter(0)
    assert entered.used == 1
    assert entered.lrs[0] & 0x3FF == 40
    state = gic.lr_get(0)
    assert state.inside
    assert state.lrs == entered.lrs
    gic.lr_set(0, 1, 0x1000_0029)
    assert gic.lr_get(0).lrs[1] == 0x1000_0029
    gic.lr_set(0, 1, 0)
    gic.gich(0, 0, gic.lr_get(0).hcr | 2)
    assert gic.exit(0).lrs == entered.lrs
    gic.mode(False)


def test_information_about_interrupts(gic: Client) -> None:
    bring_up(gic)
    gic.write(0, Space.GICD, IPRIORITYR40, 0xA0, 1)
    gic.line(40, 1)
    state = gic.irq_info(40)
    assert (state.intid, state.enabled, state.pending, state.priority) == (40, True, True, 0xA0)
    assert (state.listed, state.position, state.lr) == (0, 0, 0)
    assert gic.irq_info(27, 1).vcpu == 1
    assert gic.pending_check(0)
    assert not gic.pending_check(1)
    assert "40" in gic.dump()
    assert gic.dump(1) != gic.dump(0)
    assert gic.stats()["operations"] >= 8


def test_virqs_and_hardware_interrupts(gic: Client) -> None:
    virq = gic.virq_alloc(True)
    assert virq == 32
    assert not gic.virq_reserve(virq)
    gic.virq_free(virq)
    assert gic.virq_reserve(virq)
    assert gic.hw_connect(41, 77) == 0
    assert gic.hw_connect(41, 78) == -16
    assert gic.hw_desc(41) == 77
    reply = gic.perform(requests.vcpu_move(0, 3), effects=True)
    assert reply.fault is False
    gic.phys_line(77, 1)
    assert gic.hw_disconnect(41, 76) == -22
    assert gic.hw_disconnect(41) == 0
    assert gic.hw_desc(41) is None
    gic.vcpu_power(1, False)
    gic.vcpu_power(1, True)
    assert gic.set_irq_level(40, 1) == 0
    assert gic.set_irq_level(40, 1, padding=1) < 0


def test_devices_of_the_guest(daemon: PrivateDaemon) -> None:
    with connect(daemon.address) as gic:
        gic.reset({"vcpus": 1, "profile": "xen-guest"})
        gic.event_channel(0, True)
        assert gic.event_channel_pending(0)
        gic.time(1000)
        uart = next(window for window in gic.reconnect().windows if window.name == "VPL011")
        gic.write(0, Space.PHYSICAL, uart.base, ord("!"), 4)
        state = gic.console(b"hi")
        assert (state.accepted, state.data) == (2, b"!")
        with pytest.raises(Refused) as refused:
            gic.line(31, 1, 0)
        assert refused.value.code == Status.OWNED


def test_the_state_is_saved_and_restored(gic: Client) -> None:
    bring_up(gic)
    gic.line(40, 1)
    image = gic.snapshot()
    gic.line(40, 0)
    gic.write(0, Space.GICD, CTLR, 0)
    gic.restore(image)
    assert gic.outputs == 1
    assert gic.snapshot().words == image.words
    assert gic.reset({"spis": 992}) == -22
    assert gic.peek(0, Space.GICD, CTLR) == 1, "a refused creation keeps the old domain"


def test_a_long_image_is_split_and_joined(daemon: PrivateDaemon) -> None:
    for address in (daemon.address, daemon.seqpacket):
        with connect(address) as gic:
            gic.reset({"vcpus": 8, "spis": 960, "lrs": 64})
            image = gic.snapshot()
            gic.restore(image)
            assert gic.snapshot().words == image.words


def test_waiting_for_an_output(gic: Client) -> None:
    bring_up(gic)
    assert not gic.wait_output(0.05)
    gic.line(40, 1)
    assert gic.wait_output(5)
    assert gic.wait_output(5, vcpu=0)
    assert not gic.wait_output(0.05, vcpu=1)
    assert not gic.wait_output(0, outputs=0b10)
    with pytest.raises(ValueError, match="seconds"):
        gic.wait_output(-1)


def test_events_are_told_in_order(gic: Client, daemon: PrivateDaemon) -> None:
    gic.subscribe([EventKind.LINE, EventKind.OUTPUT])
    with connect(daemon.address) as other:
        bring_up(other)
        other.line(40, 1)
        other.line(40, 0)
    events = list(gic.events(0.3))
    lines = [event for event in events if event.kind == EventKind.LINE]
    assert [(event.intid, event.value) for event in lines] == [(40, 1), (40, 0)]
    assert [event.value for event in events if event.kind == EventKind.OUTPUT][:1] == [1]
    assert [event.order for event in events] == sorted(event.order for event in events)
    gic.subscribe(())
    gic.line(40, 1)
    assert not list(gic.events(0.1))


def test_roles_limit_what_a_client_may_do(daemon: PrivateDaemon) -> None:
    with connect(daemon.address, "observe") as onlooker:
        assert onlooker.peek(0, Space.GICD, TYPER)
        assert onlooker.lr_get(0)
        for attempt in (
            lambda: onlooker.read(0, Space.GICD, TYPER),
            lambda: onlooker.line(40, 1),
            lambda: onlooker.vector([Entry.reading(0, Space.GICD, TYPER)]),
            onlooker.reset,
        ):
            with pytest.raises(Refused) as refused:
                attempt()
            assert refused.value.code == Status.DENIED
        assert onlooker.vector([Entry.reading(0, Space.GICD, TYPER, plane=Plane.DEBUG)])[0].value


def test_a_daemon_that_is_killed_loses_its_clients() -> None:
    with private_daemon() as daemon, connect(daemon.address) as gic:
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(5)
        with pytest.raises(ConnectionLost):
            gic.read(0, Space.GICD, TYPER)
        with pytest.raises(DaemonFailed, match="ended with code -9"):
            daemon.check()
        with pytest.raises(ConnectionLost):
            gic.reconnect()


def test_a_daemon_that_is_told_to_stop_says_so() -> None:
    with private_daemon() as daemon, connect(daemon.address) as gic:
        daemon.process.terminate()
        daemon.process.wait(5)
        with pytest.raises(ConnectionLost, match="stopped"):
            gic.ping()


# --- the private daemon ---------------------------------------------------------------------------------------------


def test_a_private_daemon_leaves_nothing_behind() -> None:
    with private_daemon() as daemon:
        folder = daemon.log.parent
        assert folder.stat().st_mode & 0o777 == 0o700, "nobody else gets in"
        assert daemon.process.poll() is None
    assert daemon.process.poll() is not None
    assert not folder.exists()


def test_a_private_daemon_ends_with_an_exception_too() -> None:
    with pytest.raises(KeyError), private_daemon() as daemon:  # noqa: PT012
        process: subprocess.Popen[bytes] = daemon.process
        raise KeyError
    assert process.poll() is not None


def test_a_private_daemon_does_not_outlive_a_killed_process() -> None:
    require_tool("setpriv", "util-linux")
    program = """
import sys, vgicd_client
with vgicd_client.private_daemon() as daemon:
    print(daemon.pid, daemon.address, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid, address = process.stdout.readline().decode().split()
        process.kill()
    folder = Path(address.removeprefix("unix:")).parent
    deadline = time.monotonic() + 10
    try:
        while (
            Path(f"/proc/{pid}/cmdline").exists() and str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        ):
            assert time.monotonic() < deadline, f"the daemon {pid} still runs"
            time.sleep(0.02)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_private_daemon_that_cannot_start_shows_why() -> None:
    with pytest.raises(DaemonFailed, match="variant") as failed, private_daemon(variant="wrong"):
        pass
    assert "code 2" in str(failed.value)


def test_a_private_daemon_takes_every_kind_of_option() -> None:
    options: dict[str, Any] = {"variant": "xen", "profile": "trace", "xen_without": ("D2", "D3"), "strict_abort": None}
    with private_daemon(**options, hardware_domain=True, vcpus=3) as daemon, connect(daemon.address) as gic:
        geometry = gic.welcome.geometry
        assert (geometry.vcpus, geometry.variant, geometry.profile) == (3, "xen", "trace")
        assert gic.welcome.explicit


@pytest.mark.vgicd(vcpus=5)
def test_the_fixture_takes_its_options_from_the_marker(vgicd_daemon: PrivateDaemon) -> None:
    with connect(vgicd_daemon.address) as gic:
        assert gic.welcome.geometry.vcpus == 5


def test_the_factory_starts_several(vgicd_daemons: Any) -> None:
    daemons = [vgicd_daemons(vcpus=n) for n in (1, 2)]
    for n, daemon in enumerate(daemons, 1):
        with connect(daemon.address) as gic:
            assert gic.welcome.geometry.vcpus == n


def test_a_log_stays_readable(tmp_path: Path) -> None:
    with private_daemon("--set=log.level='info'") as daemon:
        assert "serve.ready" in daemon.stderr()


# --- trio -----------------------------------------------------------------------------------------------------------


async def test_the_trio_client_takes_an_interrupt() -> None:
    async with private_daemon_async(vcpus=2) as daemon, TrioClient(daemon.address) as gic:
        await gic.write(0, Space.GICD, CTLR, 1)
        await gic.write(0, Space.GICD, ITARGETSR40, 1, 1)
        await gic.write(0, Space.GICD, ISENABLER1, 1 << 8)
        await gic.write(0, Space.GICC, PMR, 0xF8)
        await gic.write(0, Space.GICC, GICC_CTLR, 1)
        await gic.line(40, 1)
        assert gic.outputs == 1
        assert await gic.read(0, Space.GICC, IAR) == 40
        await gic.write(0, Space.GICC, EOIR, 40)
        assert (await gic.irq_info(40)).active is False
        image = await gic.snapshot()
        await gic.restore(image)
        assert (await gic.vector([Entry.reading(0, Space.GICD, TYPER)]))[0].value == 0x22


async def test_a_wait_does_not_hold_up_other_requests() -> None:
    async with private_daemon_async() as daemon, TrioClient(daemon.address) as gic, trio.open_nursery() as nursery:
        woken = trio.Event()

        async def wait() -> None:
            assert await gic.wait_output(30)
            woken.set()

        nursery.start_soon(wait)
        await gic.pipeline(
            [
                requests.write(0, Space.GICD, CTLR, 1),
                requests.write(0, Space.GICD, ISENABLER1, 1 << 8),
                requests.write(0, Space.GICC, PMR, 0xF8),
                requests.write(0, Space.GICC, GICC_CTLR, 1),
            ]
        )
        assert not woken.is_set()
        await gic.line(40, 1)
        with trio.fail_after(10):
            await woken.wait()


async def test_a_wait_that_ends_without_an_output() -> None:
    async with private_daemon_async() as daemon, TrioClient(daemon.address) as gic:
        assert not await gic.wait_output(0.05)


async def test_events_arrive_while_requests_go_on() -> None:
    async with private_daemon_async() as daemon, TrioClient(daemon.address) as gic:
        await gic.write(0, Space.GICD, 0xC08, 0)  # level: an edge interrupt has only rises
        await gic.subscribe([EventKind.LINE])
        levels = []
        async with trio.open_nursery() as nursery:

            async def collect() -> None:
                async for event in gic.events(2):
                    levels.append((event.intid, event.value))
                    if len(levels) == 6:
                        return

            nursery.start_soon(collect)
            for level in (1, 0) * 3:
                await gic.line(40, level)
        assert levels == [(40, 1), (40, 0)] * 3


async def test_a_killed_daemon_wakes_everybody_who_waits() -> None:
    async with private_daemon_async() as daemon, TrioClient(daemon.address) as gic:
        lost = []

        async def wait() -> None:
            try:
                await gic.wait_output(30)
            except ConnectionLost as error:
                lost.append(error)

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(wait)
                await gic.ping()
                daemon.process.kill()
        assert len(lost) == 3


async def test_a_daemon_that_says_nothing_any_more_is_not_waited_for_for_ever() -> None:
    async with private_daemon_async() as daemon:
        with connect(daemon.address, timeout=0.3) as gic:
            async with TrioClient(daemon.address, timeout=0.3) as other:
                daemon.process.send_signal(signal.SIGSTOP)
                try:
                    with pytest.raises(ConnectionLost, match="no reply"):
                        gic.wait_output(0.1)
                    with trio.fail_after(20), pytest.raises(ConnectionLost, match="no reply"):
                        await other.wait_output(0.1)
                finally:
                    daemon.process.send_signal(signal.SIGCONT)


async def test_a_trio_private_daemon_that_cannot_start_shows_why() -> None:
    with pytest.raises(DaemonFailed, match="vcpus"):
        async with private_daemon_async(vcpus=99):
            pass
