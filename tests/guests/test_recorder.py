"""The operation log and the meter: ports around a port."""

from __future__ import annotations

import io

import pytest

from tests.guests.fakes import GICD, VECTORS, FakeGic, machine_on, words
from vgicd_machine.board.memory import BASE
from vgicd_machine.core.cpu import Time
from vgicd_machine.errors import BusAbort
from vgicd_machine.gic.meter import Meter
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.recorder import Recorder


def use(port: GicPort) -> None:
    port.read(0, GICD + 0xC, 4)
    port.write(1, GICD + 0x401, 1, 0xA0)
    port.line(27, 1, 1)
    port.line(40, 0)


def test_log_has_a_line_for_each_operation() -> None:
    gic, stream = FakeGic(), io.StringIO()
    gic.values = {0xC: 0x1B}
    gic.sets_outputs = {0x401: 0b100}
    moments = iter((5, 70, 800, 9000))
    use(Recorder(gic, stream, lambda: next(moments), {"seed": 3, "cpus": 2}))
    assert stream.getvalue().splitlines() == [
        "# vgicd operation log 1 seed=3 cpus=2",
        "5 0 r4 0x800000c 0x1b 0x0",
        "70 1 w1 0x8000401 0xa0 0x4",
        "800 1 line 27 1 0x4",
        "9000 - line 40 0 0x4",
    ]


def test_aborts_are_logged_and_passed_on() -> None:
    gic, stream = FakeGic(), io.StringIO()
    gic.aborts = {0x40}
    recorder = Recorder(gic, stream, lambda: 0, {})
    with pytest.raises(BusAbort):
        recorder.read(0, GICD + 0x40, 4)
    with pytest.raises(BusAbort):
        recorder.write(0, GICD + 0x40, 4, 7)
    assert stream.getvalue().splitlines()[1:] == ["0 0 r4 0x8000040 abort 0x0", "0 0 w4 0x8000040 abort 0x0"]


def test_the_time_of_an_access_is_that_of_its_instruction() -> None:
    program = """
    d503201f    nop
    d503201f    nop
    b94002a4    ldr     w4, [x21]
    b94002a4    ldr     w4, [x21]
    52b08000    mov     w0, #0x84000000             // PSCI SYSTEM_OFF
    11002000    add     w0, w0, #8
    d4000002    hvc     #0
    """
    stream, clock = io.StringIO(), Time()
    recorder = Recorder(FakeGic(), stream, clock.moment, {})
    machine = machine_on(recorder, clock=clock)
    machine.board.ram.write(BASE, words("d2a10015    mov     x21, #0x8000000" + program))
    machine.run(BASE, VECTORS, seconds=10)
    assert [line.split()[0] for line in stream.getvalue().splitlines()[1:]] == ["4", "5"]
    assert machine.statistics.instructions == machine.now == 8


@pytest.mark.parametrize("wrap", [Meter, lambda gic: Recorder(gic, io.StringIO(), lambda: 0, {})])
def test_ports_around_a_port_change_nothing(wrap: type[Meter]) -> None:
    plain, wrapped = FakeGic(), FakeGic()
    for gic in (plain, wrapped):
        gic.sets_outputs = {0xC: 0b1}
    port = wrap(wrapped)
    use(plain)
    use(port)
    assert (wrapped.log, port.outputs, port.windows) == (plain.log, plain.outputs, plain.windows)
    assert not port.wait(0)


def test_meter_counts_operations_and_their_time() -> None:
    class Slow(FakeGic):
        def line(self, intid: int, level: int, cpu: int | None = None) -> None:
            super().line(intid, level, cpu)
            sum(range(100_000))

    meter = Meter(Slow())
    use(meter)
    meter.check()
    assert meter.accesses == 4
    assert 0.0001 < meter.seconds < 5
