"""The gdb clients with real gdbs, as far as they need no target: tokens, pipes, patience and death."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.gdb.gdbs import Gdb
from tests.gdb.launching import Gate, trio_client
from vgicd_client import gdbmi
from vgicd_client.gdbmi import GdbDied, GdbNotFound, GdbTimeout, MiError

pytestmark = pytest.mark.gdbs("plain", "new")

FLOOD = 400_000
"""Bytes, several times what a pipe holds."""


def gone(pid: int) -> bool:
    """Whether there is no such process any more, not even one that nobody has waited for."""
    return not Path(f"/proc/{pid}").exists()


async def test_every_task_gets_its_own_answer(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        answers: dict[int, str] = {}

        async def ask(number: int) -> None:
            answers[number] = await client.evaluate(f"{number} + {number}")

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(ask, number)
        assert answers == {number: str(2 * number) for number in range(200)}


async def test_expressions_may_hold_whatever_c_has(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        assert await client.evaluate('sizeof("a \\"quoted\\" \\\\ one")') == str(len('a "quoted" \\ one') + 1)
        assert await client.evaluate("1 +\n1") == "2"
        assert await client.console('echo a\\ttab "and" \\\\ more') == 'a\ttab "and" \\ more'
        assert await client.read("-1") == 0xFFFF_FFFF
        assert await client.read("'a'") == 0x61


async def test_a_refusal_has_gdbs_words(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        with pytest.raises(MiError, match=r"^No symbol table is loaded") as refusal:
            await client.evaluate("nosuch")
        assert refusal.value.command == '-data-evaluate-expression "nosuch"'
        with pytest.raises(MiError, match="Undefined command"):
            await client.console("nosuch")
        with pytest.raises(MiError, match="void"):
            await client.read("$_")
        with pytest.raises(MiError, match="connect first"):
            await client.interrupt()
        with pytest.raises(ValueError, match="no MI command"):
            await client.custom("monitor lrs")
        assert await client.evaluate("1") == "1"


async def test_more_on_standard_error_than_a_pipe_holds_does_not_stop_gdb(gdb: Gdb) -> None:
    """pygdbmi never reads it: after 64 KiB gdb waits for ever."""
    async with trio_client(gdb) as client:
        await client.console(f"shell head -c {FLOOD} /dev/zero | tr '\\0' x >&2; echo the end >&2")
        assert await client.evaluate("1+1") == "2"
        with trio.fail_after(30):
            while not client.stderr.endswith("the end\n"):
                await trio.lowlevel.checkpoint()
        assert len(client.stderr) <= 4000


async def test_output_of_any_length_arrives_whole(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        assert await client.console(f"python print('x' * {10 * FLOOD})") == "x" * 10 * FLOOD + "\n"


async def test_commands_of_any_length_reach_gdb_while_it_is_busy(gdb: Gdb, tmp_path: Path) -> None:
    async with trio_client(gdb) as client:
        with Gate(tmp_path / "gate") as gate:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.console, gate.command)
                await trio.testing.wait_all_tasks_blocked()

                async def long() -> None:
                    assert await client.console(f"python print(len('{'x' * FLOOD}'))") == f"{FLOOD}\n"

                nursery.start_soon(long)
                await trio.testing.wait_all_tasks_blocked()
                gate.open()


async def test_what_is_no_mi_is_passed_over(gdb: Gdb) -> None:
    """A program's own output, an unterminated list (on which pygdbmi hangs) and mi3's tuples among the records."""
    rubbish = r"hello\n99999^done,a=[\"x\"\n=breakpoint-created,bkpt={script={\"silent\",\"print 1\"}}\n~\"open\n\xff\n"
    async with trio_client(gdb) as client:
        assert await client.console(f'python import os; os.write(1, b"{rubbish}"); print("done")') == "done\n"
        assert await client.evaluate("1+1") == "2"


async def test_a_command_that_takes_too_long_is_given_up_and_its_answer_dropped(gdb: Gdb, tmp_path: Path) -> None:
    async with trio_client(gdb) as client:
        with Gate(tmp_path / "gate") as gate:
            client.timeout = 0.2
            with pytest.raises(GdbTimeout, match=r"no answer from gdb to -interpreter-exec .* within 0\.2 s"):
                await client.console(gate.command)
            with pytest.raises(GdbTimeout):
                await client.evaluate("1")
        client.timeout = 30
        assert await client.evaluate("1+1") == "2"
        assert await client.console("echo mine") == "mine"


async def test_a_cancelled_call_leaves_the_client_as_it_was(gdb: Gdb, tmp_path: Path) -> None:
    async with trio_client(gdb) as client:
        with Gate(tmp_path / "gate") as gate:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.console, gate.command)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            with trio.CancelScope() as scope:
                scope.cancel()
                await client.evaluate("never sent")
        assert scope.cancelled_caught
        assert await client.evaluate("1+1") == "2"


async def test_every_call_is_a_checkpoint(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        with trio.testing.assert_checkpoints():
            await client.evaluate("1")


async def test_the_death_of_gdb_in_a_command_is_told_to_all_who_wait(gdb: Gdb, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    async with trio_client(gdb) as client:
        deaths: list[int | None] = []

        async def fails(command: str) -> None:
            with pytest.raises(GdbDied, match="was killed by SIGKILL") as death:
                await client.console(command)
            deaths.append(death.value.code)

        async with trio.open_nursery() as nursery:
            for command in (gate.command + "; kill -9 $PPID", "echo after it", "echo and that"):
                nursery.start_soon(fails, command)
                await trio.testing.wait_all_tasks_blocked()
            gate.open()
        assert deaths == [-9] * 3
        with pytest.raises(GdbDied, match="SIGKILL"):
            await client.evaluate("1")
        with pytest.raises(GdbDied, match="SIGKILL"):
            await client.wait_stop()
        assert gone(client.pid)


async def test_the_last_words_of_gdb_are_kept(gdb: Gdb) -> None:
    async with trio_client(gdb) as client:
        with pytest.raises(GdbDied, match="has ended with code 3; it last said:\nlast words") as death:
            await client.console("python import os; os.write(2, b'last words'); os._exit(3)")
        assert (death.value.code, death.value.stderr) == (3, "last words")


async def test_a_gdb_that_closes_its_output_counts_as_dead(gdb: Gdb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdbmi, "QUIT_DEADLINE", 0.1)
    async with trio_client(gdb) as client:
        with pytest.raises(GdbDied, match="has closed its output"):
            await client.console("python import os; os.close(1)")
    assert gone(client.pid)


async def test_what_the_block_raises_comes_out_as_it_is_and_gdb_ends(gdb: Gdb) -> None:
    client = trio_client(gdb)
    with pytest.raises(ZeroDivisionError):
        async with client:
            raise ZeroDivisionError
    assert gone(client.pid)
    with pytest.raises(GdbDied, match="has ended with code 0"):
        await client.evaluate("1")


async def test_a_cancelled_block_ends_gdb(gdb: Gdb) -> None:
    client = trio_client(gdb)
    with trio.CancelScope() as scope:
        async with client:
            scope.cancel()
            await client.evaluate("1")
    assert scope.cancelled_caught
    assert gone(client.pid)


async def test_a_gdb_that_does_not_leave_is_made_to(gdb: Gdb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdbmi, "QUIT_DEADLINE", 0.2)
    with Gate(tmp_path / "gate") as gate:
        async with trio_client(gdb) as client:
            client.timeout = 0.2
            with pytest.raises(GdbTimeout):
                await client.console(gate.command)
        assert gone(client.pid)


async def test_a_program_that_is_not_there_or_no_gdb_is_named() -> None:
    with pytest.raises(GdbNotFound, match=r"cannot start no-such-gdb: No such file.*install gdb"):
        async with gdbmi.Gdb.launch("no-such-gdb"):
            pass
    with pytest.raises(GdbDied, match="false has ended with code 1"):
        async with gdbmi.Gdb.launch("false"):
            pass


async def test_nothing_is_left_open(gdb: Gdb) -> None:
    async with trio_client(gdb):
        pass
    before = set(os.listdir("/proc/self/fd"))
    async with trio_client(gdb) as client:
        await client.evaluate("1")
    with pytest.raises(GdbNotFound):
        async with gdbmi.Gdb.launch("no-such-gdb"):
            pass
    assert set(os.listdir("/proc/self/fd")) == before
