"""Commands on a domain in this process: what they answer, and what is told before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.events import EventKind
from vgicd.qtest.clock import Clock
from vgicd.qtest.commands import COMMANDS, Needs, execute, execute_prepared, needs
from vgicd.qtest.machine import Machine
from vgicd.qtest.wiring import Wiring

GICD, GICC = 0x08000000, 0x08010000
XEN_GICD, XEN_GICC = 0x03001000, 0x03002000
CTLR, ISENABLER1, ISENABLER0 = GICD, GICD + 0x104, GICD + 0x100
IAR = GICC + 0xC
ENABLE = (f"writel {CTLR:#x} 3", f"writel {GICC:#x} 1", f"writel {GICC + 4:#x} 0xff", f"writel {ISENABLER1:#x} -1")
TIMER_PPI, CPUS_TIMER = 27, 1


class Bench:
    """A machine over a domain of its own; `said` is all that its client was sent."""

    def __init__(self, *, fast: bool = True, **config: object) -> None:
        self.domain = Domain(DomainConfig(**({"vcpus": 1, "spis": 256} | config)))  # type: ignore[arg-type]
        self.fast = fast
        self.said = b""
        self.spread: list[int] = []
        self.machine = Machine(
            self.domain, Clock(self.domain), self._wiring, 4096, self._notify, self._spread
        )  # fmt: skip

    def _wiring(self) -> Wiring:
        return Wiring(self.domain.config.vcpus, self.domain.vgic.nr_irqs - 1)

    def _notify(self, notices: bytes) -> None:
        self.said += notices

    def _spread(self, outputs: int) -> None:
        """What the hub does for a client that asked for events."""
        self.spread.append(outputs)
        for event in self.domain.take_events():
            self.machine.see_event(event)

    def ask(self, line: str) -> str:
        """All that is said, from the end of the last answer to the end of this one."""
        data = line.encode()
        answer = execute_prepared(self.machine, data) if self.fast else None
        if answer is None:
            answer = execute(self.machine, data)
        said, self.said = self.said + answer, b""
        return said.decode()

    def all(self, *lines: str) -> list[str]:
        return [self.ask(line) for line in lines]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_notices_come_before_the_answer_and_only_when_something_changed(bench: Bench) -> None:
    bench.all(*ENABLE, "irq_intercept_in device[0]")
    assert bench.ask("set_irq_in device[1] unnamed-gpio-in 8 1") == "IRQ raise 0\nOK\n"
    assert bench.ask("set_irq_in device[1] unnamed-gpio-in 8 1") == "OK\n"
    assert bench.ask(f"readl {IAR:#x}") == "IRQ lower 0\nOK 0x0000000000000028\n"
    assert bench.ask(f"readl {IAR:#x}") == "OK 0x00000000000003ff\n"


def test_what_was_high_when_interception_began_is_told_at_the_next_write(bench: Bench) -> None:
    """QEMU's levels begin low, and its GIC looks at its outputs when it is written to."""
    bench.all(*ENABLE, "set_irq_in device[1] unnamed-gpio-in 8 1")
    assert bench.ask("irq_intercept_in device[0]") == "OK\n"
    assert bench.ask(f"readl {CTLR:#x}") == "OK 0x0000000000000001\n"
    assert bench.ask(f"readq {CTLR:#x}").startswith("OK")
    assert bench.ask(f"writel {CTLR:#x} 3") == "IRQ raise 0\nOK\n"


def test_a_wide_access_tells_what_each_of_its_parts_caused(bench: Bench) -> None:
    bench.all(*ENABLE, "irq_intercept_in device[0]", "set_irq_in device[1] unnamed-gpio-in 8 1")
    assert bench.ask(f"writeq {GICC:#x} 0xf800000001") == "OK\n"
    assert bench.ask(f"writeq {GICC:#x} 0xff00000000") == "IRQ lower 0\nOK\n"
    assert bench.ask(f"writeq {GICC:#x} 0x0000000001") == "IRQ raise 0\nIRQ lower 0\nOK\n"


def test_inputs_of_the_gic_are_told_by_the_level_that_was_given(bench: Bench) -> None:
    bench.domain.listen(1 << EventKind.LINE)
    bench.ask("irq_intercept_in device[1]")
    drive = "set_irq_in device[1] unnamed-gpio-in 5 "
    said = bench.all(*(drive + level for level in ("1", "1", "2", "-5", "0", "0")))
    assert said == ["IRQ raise 5\nOK\n", "OK\n", "IRQ raise 5\nOK\n", "IRQ raise 5\nOK\n", "IRQ lower 5\nOK\n", "OK\n"]


def test_inputs_of_the_gic_that_others_drive_are_told_as_well() -> None:
    bench = Bench(vcpus=2)
    bench.domain.listen(1 << EventKind.LINE)
    bench.all(f"writel {GICD + 0xC08:#x} 0", "irq_intercept_in device[2]")
    for line in (op.Line(40, 1), op.Line(40, 1), op.Line(TIMER_PPI, 1, 1), op.Line(40, 0), op.Line(40, 0)):
        bench.machine.apply(line)
    assert bench.ask("endianness") == "IRQ raise 8\nIRQ raise 315\nIRQ lower 8\nOK little\n"


def test_each_edge_of_an_edge_triggered_input_is_a_raise(bench: Bench) -> None:
    """The domain has no event for its fall."""
    bench.domain.listen(1 << EventKind.LINE)
    bench.all(f"writel {GICD + 0xC08:#x} 0xaaaaaaaa", "irq_intercept_in device[1]")
    for line in (op.Line(41, 1, pulse=True), op.Line(41, 1), op.Line(41, 0)):
        bench.machine.apply(line)
    assert bench.ask("endianness") == "IRQ raise 9\nIRQ raise 9\nOK little\n"


def test_outputs_of_a_cpu_are_its_timers_wherever_they_are() -> None:
    bench = Bench(vcpus=2)
    bench.domain.listen(1 << EventKind.LINE)
    bench.ask("irq_intercept_out device[1]")
    for intid, vcpu in ((TIMER_PPI, 1), (TIMER_PPI, 0), (30, 1), (29, 1), (26, 1), (16, 1)):
        bench.machine.apply(op.Line(intid, 1, vcpu))
    assert bench.ask("endianness") == "IRQ raise 1\nIRQ raise 0\nIRQ raise 3\nIRQ raise 2\nOK little\n"
    assert bench.ask("set_irq_in device[2] unnamed-gpio-in 315 0") == "OK\n", "an input of the GIC comes from no CPU"


def test_a_device_without_lines_can_be_intercepted_and_no_other_then(bench: Bench) -> None:
    assert bench.ask("irq_intercept_out device[1]") == "OK\n"
    assert bench.ask("irq_intercept_in device[1]") == "OK\n"
    assert bench.ask("irq_intercept_in device[0]") == "FAIL IRQ intercept already enabled\n"
    assert bench.ask("set_irq_in device[1] unnamed-gpio-in 5 1") == "OK\n"


def test_each_vcpu_has_inputs_of_its_own() -> None:
    bench = Bench(vcpus=2)
    bench.all(*ENABLE, "irq_intercept_in device[1]", "vgicd_vcpu 1", f"writel {GICC:#x} 1", f"writel {GICC + 4:#x} 255")
    assert bench.ask(f"writel {GICD + 0xF00:#x} 0x10007") == "OK\n", "to vCPU 0"
    assert bench.ask(f"writel {GICD + 0xF00:#x} 0x20007") == "IRQ raise 0\nOK\n"
    assert bench.ask(f"readl {IAR:#x}") == "IRQ lower 0\nOK 0x0000000000000407\n"
    bench.ask("vgicd_vcpu 0")
    assert bench.ask(f"readl {IAR:#x}") == "OK 0x0000000000000407\n"
    assert bench.ask("vgicd_vcpu 2") == "FAIL There is no vCPU 2: they are 0 to 1.\n"


def test_a_refused_command_changes_nothing_and_says_why() -> None:
    bench = Bench(profile="xen-guest")
    order = bench.domain.order
    assert bench.ask("set_irq_in device[1] unnamed-gpio-in 283 1") == (
        "FAIL INTID 27 is driven by a device of this domain.\n"
    )
    assert bench.ask(f"write {XEN_GICD:#x} 4 0x") == "ERR invalid argument size\n"
    assert bench.domain.order == order


def test_where_no_guest_is_there_is_a_sentence() -> None:
    bench = Bench()
    bench.domain.apply(op.Mode(explicit=True))
    answer = bench.ask(f"readl {IAR:#x}")
    assert answer.startswith("FAIL ")
    assert "ENTER" in answer


def test_an_abort_reads_as_zero_and_is_counted() -> None:
    """qtest is not told of bus errors."""
    bench = Bench(strict_abort=True, trap_unmapped=True)
    assert bench.all("readb 0x8000004", "readl 0x0c000000", "writel 0x0c000000 1") == [
        "OK 0x0000000000000000\n", "OK 0x0000000000000000\n", "OK\n",
    ]  # fmt: skip
    assert sum(bench.domain.faults.values()) == 3


def test_blocks_stay_within_a_frame_and_a_size(bench: Bench) -> None:
    assert bench.ask("read 0x8000000 4096").startswith("OK 0x")
    assert bench.ask("read 0x8000000 4097") == "FAIL A block has at most 4096 bytes here.\n"
    assert bench.ask("read 0x8000ffc 8") == "FAIL The block leaves GICD, which ends at 0x8001000.\n"
    for address in ("0x40000000", "0x8030000", "0xffffffffffffffff"):
        assert bench.ask(f"memset {address} 4 0").startswith(f"FAIL There is no memory at {address}")


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_is_in_nanoseconds_and_loses_none(bench: Bench) -> None:
    """At 62.5 MHz a tick is 16 ns."""
    assert bench.all("clock_step 5", "clock_step 5", "clock_step 5", "clock_step 5") == [
        "OK 5\n", "OK 10\n", "OK 15\n", "OK 20\n",
    ]  # fmt: skip
    assert bench.domain.now == 1
    assert bench.all("clock_set 19", "clock_set 160", "clock_step -5", "clock_step 0", "clock_step") == [
        "OK 20\n", "OK 160\n", "OK 160\n", "OK 160\n", "OK 160\n",
    ]  # fmt: skip
    assert bench.domain.now == 10


def test_time_goes_on_from_where_others_have_brought_it(bench: Bench) -> None:
    bench.ask("clock_step 5")
    bench.domain.apply(op.Time(100))
    assert bench.ask("clock_step 0") == "OK 1600\n"
    bench.domain.apply(op.Reset())
    assert bench.ask("clock_step 0") == "OK 0\n"


@pytest.mark.parametrize("hz", [62_500_000, 24_000_000, 1, 10**12, 999_999_937])
@given(cval=st.integers(1, 1 << 40))
def test_a_step_without_a_number_reaches_the_next_timer_exactly(hz: int, cval: int) -> None:
    bench = Bench(profile="xen-guest", timer_hz=hz)
    for offset, value in ((0x08, cval), (0x00, 1)):
        bench.domain.apply(op.Write(0, op.Space.DEVICE, offset, 8, value))
    bench.domain.listen(1 << EventKind.LINE)
    bench.ask("irq_intercept_out device[0]")
    answer = bench.ask("clock_step")
    assert answer.startswith(f"IRQ raise {CPUS_TIMER}\nOK ")
    ticks = -(-cval * 10**9 // hz) * hz // 10**9
    assert cval <= bench.domain.now == ticks
    assert (bench.domain.now - cval) * 10**9 <= hz, "not a nanosecond late"


@pytest.mark.parametrize("line", ["clock_step x", "clock_step 0x8000000000000000", "clock_set", "clock_set "])
def test_a_time_that_is_none_is_refused(bench: Bench, line: str) -> None:
    assert bench.ask(line).startswith("FAIL ")


# --- the table and the short way ------------------------------------------------------------------------------------


def test_only_what_is_ours_alone_says_so() -> None:
    """All other names are QEMU 7.2's, of any accelerator."""
    qemus = {"irq_intercept_in", "irq_intercept_out", "set_irq_in", "clock_step", "clock_set", "endianness", "memset"}
    qemus |= {"read", "write", "b64read", "b64write", "module_load"}
    qemus |= {f"{verb}{letter}" for verb in ("read", "write") for letter in "bwlq"}
    qemus |= {f"{verb}{letter}" for verb in ("in", "out") for letter in "bwl"}
    names = {name.decode() for name in COMMANDS}
    assert {name for name in names if not name.startswith("vgicd_")} == qemus


def test_what_a_frozen_guest_holds_back() -> None:
    lines = b"readl 1", b"b64write", b"set_irq_in x", b"clock_step", b"endianness", b"x", b""
    assert [needs(line) for line in lines] == [
        Needs.ACCESS, Needs.ACCESS, Needs.REST, Needs.REST, Needs.NOTHING, Needs.NOTHING, Needs.NOTHING,
    ]  # fmt: skip


ADDRESSES = [CTLR, GICD + 4, ISENABLER1, ISENABLER0, GICD + 0x400, GICD + 0x421, GICD + 0xF00, GICC, GICC + 4, IAR]
ADDRESSES += [GICC + 0x10, GICD + 0x104, GICD + 0x184, GICD + 0x204, 0x0C000000]
REPEATED = st.one_of(
    st.tuples(st.sampled_from(["readl", "readb", "readq"]), st.sampled_from(ADDRESSES)).map("{0[0]} {0[1]:#x}".format),
    st.tuples(
        st.sampled_from(["writel", "writeb"]),
        st.sampled_from(ADDRESSES),
        st.sampled_from(["1", "0xff", "0x2000003", "0xffffffff", "0x1ffffffff", "40", "x", "", " 1", "1 1"]),
    ).map("{0[0]} {0[1]:#x} {0[2]}".format),
    st.sampled_from([f"set_irq_in device[1] unnamed-gpio-in {n} {level}" for n in (0, 8) for level in (0, 1)]),
)


@given(st.lists(REPEATED, max_size=60))
def test_what_was_asked_before_is_answered_as_if_it_were_new(lines: list[str]) -> None:
    """The prepared form of a line is the line."""
    benches = Bench(), Bench(fast=False)
    for bench in benches:
        bench.all(*ENABLE, "irq_intercept_in device[0]")
    for line in [*lines, *lines]:
        quick, slow = (bench.ask(line) for bench in benches)
        assert quick == slow, line
    quick_domain, slow_domain = (bench.domain for bench in benches)
    assert quick_domain.order == slow_domain.order
    assert quick_domain.apply(op.Snapshot()).value == slow_domain.apply(op.Snapshot()).value
    assert benches[0].spread == benches[1].spread


def test_an_access_that_comes_again_is_prepared(bench: Bench) -> None:
    for line in (f"readl {CTLR:#x}", f"writel {CTLR:#x} 1"):
        assert execute_prepared(bench.machine, line.encode()) is None
        bench.ask(line)
        assert execute_prepared(bench.machine, line.encode()) is not None
    assert execute_prepared(bench.machine, f"writel {CTLR:#x} ".encode()) is None
    assert execute_prepared(bench.machine, f"writel {CTLR:#x}".encode()) is None


# --- whatever comes -------------------------------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from([name.decode() for name in COMMANDS]),
    st.sampled_from(["0x8000000", "0x8010000", "0x801000c", "0x8000ffc", "4", "0", "-1", "0xffffffffffffffff", "4096"]),
    st.sampled_from(["device[0]", "device[1]", "/machine", "unnamed-gpio-in", "0x0102", "AQID", "AQI", "x", ""]),
    st.text(max_size=6),
)
LINES = st.one_of(
    st.binary(max_size=40).filter(lambda line: b"\n" not in line),
    st.lists(WORDS, max_size=6).map(lambda words: " ".join(words).replace("\n", " ").encode()),
)


@given(st.lists(LINES, max_size=20))
def test_every_line_has_one_answer_and_a_refusal_changes_nothing(lines: list[bytes]) -> None:
    bench = Bench(vcpus=2)
    for line in lines:
        order, now = bench.domain.order, bench.domain.now
        answer = execute_prepared(bench.machine, line) or execute(bench.machine, line)
        assert answer.endswith(b"\n")
        assert answer.count(b"\n") == 1
        assert answer.startswith((b"OK", b"FAIL", b"ERR"))
        if not answer.startswith(b"OK"):
            assert (bench.domain.order, bench.domain.now) == (order, now)
        assert not bench.said.strip(b"IRQ raselow0123456789\n")
    bench.domain.check_invariants()
