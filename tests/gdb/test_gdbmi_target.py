"""The trio gdb client with real gdbs and a daemon: values, stops in their order, refusals, the end of the target."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.gdb import scenes
from tests.gdb.conftest import Board, Boards
from tests.gdb.gdbs import Gdb
from tests.gdb.launching import trio_client
from vgicd_client import AddressError, Space, connect, gdbmi, private_daemon
from vgicd_client.gdbmi import GdbTimeout, MiError

PATIENCE = 30


def relative(path: str) -> str:
    """`path` as seen from here."""
    return os.path.relpath(path)


@asynccontextmanager
async def connected(gdb: Gdb, board: Board, **options: bool) -> AsyncIterator[gdbmi.Gdb]:
    async with trio_client(gdb) as client:
        await client.connect(board.gdb, **options)
        yield client


async def test_registers_are_text_and_numbers(gdb: Gdb, board: Board) -> None:
    scenes.busy(board.gic)
    typer = board.gic.peek(0, Space.GICD, 0x004)
    with board.unchanged():
        async with connected(gdb, board) as client:
            assert await client.evaluate("gich.LR[0].State") == "PENDING"
            assert await client.read("gich.LR[0].State") == 1
            assert await client.read("GICD_TYPER") == typer
            assert await client.read("gicd.TYPER") == typer, "a structure, as the register it is"
            assert await client.read("$gich_lr0") == board.gic.lr_get(0).lrs[0]
            assert await client.read("gicd.IPRIORITYR[42]", thread=2) == scenes.DEVICE_PRIORITY
            with pytest.raises(MiError, match=r"gicd is no number but .*name one register"):
                await client.read("gicd")


async def test_writes_are_the_accesses_of_a_vcpu(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board) as client:
        await client.write("GICC_PMR", 0x80, thread=3)
        await client.write("GICC_PMR", "GICC_PMR + 0x40", thread=2)
        assert [await client.read("GICC_PMR", thread=number) for number in (1, 2, 3)] == [0, 0x40, 0x80]
        await client.write("gicd.CTLR", 1)
        assert board.gic.peek(0, Space.GICD, 0x000) == 1
        await client.select(3)
        assert await client.read("GICC_PMR") == 0x80


async def test_a_refused_write_changes_nothing_and_says_why(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board) as client:
        with board.unchanged():
            for register in ("gich.LR[1].State", "$gich_lr1"):
                with pytest.raises(MiError, match="monitor mode explicit"):
                    await client.write(register, 1)


async def test_a_list_register_is_written_in_explicit_mode(gdb: Gdb, board: Board) -> None:
    board.gic.mode(True)
    board.gic.enter(0)
    board.gic.lr_set(0, 0, 0x1000_0029)
    board.gic.lr_set(0, 1, 0x1000_002A)
    async with connected(gdb, board) as client:
        await client.write("gich.LR[1].State", "ACTIVE")
    assert board.gic.lr_get(0).lrs[1] == 0x2000_002A


async def test_the_stop_of_the_connection_is_not_the_stop_of_the_run(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board) as client:
        await client.watch("GICD_ISENABLER1")
        with board.acting() as guest:
            for vcpu, word in ((2, 1 << 10), (1, 1 << 11)):
                await client.resume()
                guest.write(vcpu, "GICD_ISENABLER1", word)
                stop = await client.wait_stop(PATIENCE)
                assert (stop.reason, stop.vcpu, stop.thread) == ("watchpoint-trigger", vcpu, vcpu + 1)
            assert (stop.old, stop.new, stop.expression) == ("1024", "3072", "GICD_ISENABLER1")
            with pytest.raises(GdbTimeout, match=r"has not stopped within 0\.3 s"):
                await client.continue_until_stop(0.3)
            assert client.running
            with pytest.raises(MiError, match="running"):
                await client.read("GICD_CTLR")
            assert (await client.interrupt()).signal == "SIGINT"
            assert not client.running
            assert (await client.interrupt()).signal == "SIGINT", "it stands already"


async def test_every_access_and_every_read_can_be_watched(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board) as client:
        accesses = await client.awatch("GICD_CTLR", thread=2)
        reads = await client.rwatch("GICD_TYPER")
        with board.acting() as guest:
            await client.resume()
            guest.write(0, "GICD_CTLR", 0)  # of another thread
            guest.write(1, "GICD_CTLR", 0)
            stop = await client.wait_stop(PATIENCE)
            assert (stop.breakpoint, stop.vcpu, stop.old) == (accesses.number, 1, None)
            await client.resume()
            guest.read(3, "GICD_TYPER")
            stop = await client.wait_stop(PATIENCE)
            assert (stop.breakpoint, stop.vcpu, stop.reason) == (reads.number, 3, "read-watchpoint-trigger")
            await client.delete()
            await client.detach()


async def test_a_condition_that_is_no_expression_leaves_no_watchpoint_behind(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board) as client:
        with pytest.raises(MiError, match='No symbol "bogus"'):
            await client.watch("GICD_CTLR", condition="bogus == 1")
        assert (await client.console("info breakpoints")).startswith("No breakpoints")
        point = await client.watch("GICD_CTLR", condition="GICD_CTLR == 1")
        assert "stop only if GICD_CTLR == 1" in await client.console("info breakpoints")
        await client.delete(point)


async def test_breakpoints_have_threads_conditions_and_an_end(gdb: Gdb, board: Board) -> None:
    scenes.driver(board.gic)
    async with connected(gdb, board) as client:
        once = await client.break_("irq27_ack", thread=2, condition="$_thread == 2", temporary=True)
        with board.acting("control") as guest:
            await client.resume()
            guest.line(scenes.TIMER, 1, 0)
            guest.read(0, "GICC_IAR")
            guest.line(scenes.TIMER, 1, 1)
            guest.read(1, "GICC_IAR")
            stop = await client.wait_stop(PATIENCE)
            assert (stop.reason, stop.breakpoint, stop.vcpu) == ("breakpoint-hit", once.number, 1)
            assert stop.function == "irq27_ack"
            await client.detach()


async def test_the_backtrace_is_the_nesting(gdb: Gdb, board: Board) -> None:
    scenes.driver(board.gic)
    scenes.nest(board.gic, 2)
    async with connected(gdb, board) as client:
        assert [frame.function for frame in await client.backtrace(3)][:3] == ["idle", "irq3", "irq27_vtimer"]
        threads = await client.threads()
    assert [(thread.number, thread.vcpu, thread.name) for thread in threads] == [
        (number + 1, number, f"vcpu{number}") for number in range(4)
    ]
    assert "lr=" in threads[2].details


async def test_tables_and_monitor_commands_answer(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board) as client:
        assert {"irqs", "lrs", "vcpus", "clients", "stats"} <= {row["Type"] for row in await client.info_os()}
        assert [row["vcpu"] for row in await client.info_os("vcpus")] == ["0", "1", "2", "3"]
        with pytest.raises(MiError, match="no table 'nosuch', only irqs, lrs, "):
            await client.info_os("nosuch")
        assert (await client.monitor("lrs")).startswith("vCPU 0:")
        assert "monitor help" in await client.monitor("nosuch")
        assert "features" in await client.custom("-list-features")


async def test_in_non_stop_everything_goes_on(gdb: Gdb, board: Board) -> None:
    async with connected(gdb, board, non_stop=True) as client:
        assert client.running
        with board.client() as guest:
            guest.write(1, Space.GICD, 0x000, 1)
        assert await client.read("GICD_CTLR") == 1
        assert all(thread.running for thread in await client.threads())


async def test_leaving_lets_the_guest_go(gdb: Gdb, board: Board) -> None:
    with board.acting() as guest:
        async with connected(gdb, board) as client:
            await client.watch("GICD_CTLR")
            await client.resume()
            held = guest.write(0, "GICD_CTLR", 1)
            await client.wait_stop(PATIENCE)
            assert not held.done()
        await trio.to_thread.run_sync(held.result, PATIENCE)


@pytest.mark.gdbs("plain", "new")
async def test_the_end_of_the_daemon_ends_the_wait_and_not_the_client(gdb: Gdb, tmp_path: Path) -> None:
    endpoint = tmp_path / "g"
    with private_daemon(f"--gdb=unix:{endpoint}", f"--gdb-arch={gdb.arch}") as daemon:
        async with trio_client(gdb) as client:
            await client.connect(f"unix:{endpoint}")
            await client.resume()
            with connect(daemon.address, "guest") as guest:
                guest.read(0, Space.GICD, 0x004)  # answered by a daemon that has been told to go on
            daemon.process.kill()
            daemon.process.wait(PATIENCE)
            with pytest.raises(MiError, match=r"Remote connection closed|Target disconnected"):
                await client.wait_stop(PATIENCE)
            assert not client.running
            assert await client.evaluate("1+1") == "2"
            with pytest.raises(MiError, match="start the daemon with --gdb"):
                await client.connect(f"unix:{endpoint}")


@pytest.mark.gdbs("plain", "new")
async def test_wrong_addresses_say_what_to_do(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        for address in ("host:port", "tcp:1234", "tcp:host:port", ""):
            with pytest.raises(AddressError, match="a path, HOST:PORT or unix:PATH"):
                await client.connect(address)
        for address in ("/nonexistent/a socket", "no-such.gdb", "unix:/nonexistent/s", "127.0.0.1:1"):
            with pytest.raises(MiError, match="nobody listens there: start the daemon with --gdb"):
                await client.connect(address)


@pytest.mark.gdbs("plain", "new")
async def test_the_wrong_socket_and_a_second_target_are_explained(gdb: Gdb, board: Board) -> None:
    wire = board.daemon.address.removeprefix("unix:")
    async with trio_client(gdb) as client:
        with pytest.raises(MiError, match=r"no gdb server: a daemon's is NAME\.gdb, beside NAME\.sock"):
            await client.connect(wire)
        await client.connect(board.gdb)
        with pytest.raises(MiError, match="it has a target: detach from that first"):
            await client.connect(board.gdb)
        await client.detach()
        await client.connect(relative(board.gdb))


@pytest.mark.gdbs("plain")
async def test_an_architecture_that_gdb_does_not_know_is_explained(gdb: Gdb, boards: Boards) -> None:
    async with trio_client(gdb) as client:
        with pytest.raises(MiError, match="use gdb-multiarch, or another --gdb-arch"):
            await client.connect(boards("aarch64").gdb)
