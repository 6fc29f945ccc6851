"""What gdb reads and writes at an address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.gdbstub.local import GICC, GICD, GICH, LocalTarget, bring_up, snapshot, take
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub import memory
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.lifecycle import INTO_FRAME, OTHER_END
from vgicd.gdbstub.target import Refused
from vgicd_protocol.frames import Role

LIVE = op.Plane.GUEST


def number(target: LocalTarget, address: int, size: int = 4, vcpu: int = 0) -> int:
    return int.from_bytes(memory.read(target, vcpu, address, size), "little")


def refusal(action: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as caught:
        action(*arguments)
    text: str = caught.value.text
    assert text[0].isupper() or text.startswith("vCPU")
    assert text.endswith(".")
    return text


def refused_write(target: LocalTarget, address: int, data: bytes, vcpu: int = 0) -> str:
    """The sentence with which the write is refused; nothing has changed and no guest fault is counted."""
    before, faults, order = snapshot(target.domain), dict(target.domain.faults), target.domain.order
    text = refusal(memory.write, target, vcpu, address, data)
    assert (snapshot(target.domain), dict(target.domain.faults), target.domain.order) == (before, faults, order)
    return text


@pytest.fixture
def target() -> LocalTarget:
    found = LocalTarget()
    bring_up(found.domain)
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_word_is_read_as_the_selected_vcpu(target: LocalTarget) -> None:
    target.domain.apply(op.Write(1, GICC, 0x04, 4, 0x50))
    assert (number(target, target.at("gicc", 4)), number(target, target.at("gicc", 4), vcpu=1)) == (0xF8, 0x50)


def test_an_alias_window_is_of_its_vcpu_whichever_is_selected(target: LocalTarget) -> None:
    target.domain.apply(op.Write(1, GICC, 0x04, 4, 0x50))
    for selected in (0, 1):
        assert number(target, target.at("gicc1", 4), vcpu=selected) == 0x50
        assert number(target, target.at("gicc0", 4), vcpu=selected) == 0xF8


@pytest.mark.parametrize("size", [1, 2, 4, 8, 3, 5, 16])
def test_a_register_of_words_is_read_in_parts(target: LocalTarget, size: int) -> None:
    """`x/bx`, `x/gx` and dumps show the register; a guest's access of that width would show zero."""
    whole = memory.read(target, 0, target.at("gicd", 0), 32)
    for start in range(9):
        assert memory.read(target, 0, target.at("gicd", start), size) == whole[start : start + size]
    assert number(target, target.at("gicd", 4)) == 1 << 5 | 2  # TYPER: 2 vCPUs, 96 interrupts


def test_a_dump_of_the_distributor_is_its_registers_and_zeros(target: LocalTarget) -> None:
    target.domain.apply(op.Write(0, GICD, 0x42A, 1, 0x60))
    dump = memory.read(target, 0, target.at("gicd"), 0x1000)
    assert dump[0x42A] == 0x60
    assert dump[0x104:0x108] == b"\xff" * 4
    assert dump[0x00C:0x080] == bytes(0x74)  # reserved
    assert dump[0xF00:0xF04] == bytes(4)  # SGIR is write-only
    assert dump[0x100 + 96 // 8 : 0x180] == bytes(0x80 - 96 // 8)  # interrupts that the domain has not


def test_reading_iar_acknowledges_nothing(target: LocalTarget) -> None:
    """The complaint about every register viewer (cortex-debug 804, PyCortexMDebug 15)."""
    target.domain.apply(op.Line(27, 1, 0))
    before = snapshot(target.domain)
    for _ in range(2):
        assert number(target, target.at("gicc", 0x0C)) == 27
        assert memory.read(target, 0, target.at("gicc"), 0x1004)[0x0C] == 27
    assert snapshot(target.domain) == before
    assert target.applied == []


def test_places_without_a_register_do_not_abort_a_debugger() -> None:
    """Variant xen aborts the guest's access; a dump over the same places is no access of a guest."""
    target = LocalTarget(Domain(DomainConfig(vcpus=1, spis=32, strict_abort=True)))
    assert memory.read(target, 0, target.at("gicd", 0x0C), 4) == bytes(4)
    assert memory.read(target, 0, target.at("gicd", 0x200), 0x80)[8:] == bytes(0x78)
    assert memory.read(target, 0, target.at("gicc", 0x30), 8) == bytes(8)
    assert dict(target.domain.faults) == {}


def test_a_read_past_the_end_is_short(target: LocalTarget) -> None:
    end = target.at("gicd", 0x1000)
    assert len(memory.read(target, 0, end - 16, 64)) == 16
    assert "info mem" in refusal(memory.read, target, 0, end, 4)


def test_a_read_spans_windows_that_adjoin() -> None:
    target = LocalTarget(Domain(DomainConfig(vcpus=1, spis=32, profile="xen-guest")))
    assert target.at("gicd", 0x1000) == target.at("gicc")
    both = memory.read(target, 0, target.at("gicc") - 4, 12)
    assert both[:4] == memory.read(target, 0, target.at("gicc") - 4, 4)
    assert both[4:] == memory.read(target, 0, target.at("gicc"), 8)


def test_nothing_is_at_address_zero(target: LocalTarget) -> None:
    """gdb reads there when it unwinds (avatar2 19)."""
    assert "Nothing is at 0x0" in refusal(memory.read, target, 0, 0, 8)
    assert memory.read(target, 0, 0, 0) == b""  # LLDB's probe


def test_the_list_registers_are_read_where_no_guest_reaches(target: LocalTarget) -> None:
    target.domain.apply(op.Line(27, 1, 0))
    word = number(target, target.at("gich", 0x100))
    assert word == target.domain.vgic.vcpus[0].gich.lrs[0]
    assert word & 0x3FF == 27
    assert number(target, target.at("gich1", 0x100)) == 0
    assert memory.read(target, 0, target.at("gich", 0x100 + 4 * 4), 4 * 60) == bytes(240)  # those it has not


def test_a_profile_without_gich_has_a_window_for_it_all_the_same() -> None:
    target = LocalTarget(Domain(DomainConfig(vcpus=1, spis=32, profile="xen-guest")))
    assert number(target, target.at("gich", 0x04)) == 0x90000003


def test_reading_the_uart_takes_no_byte_from_its_fifo() -> None:
    target = LocalTarget(Domain(DomainConfig(vcpus=1, spis=32, profile="xen-guest")))
    target.domain.apply(op.Console(b"ab"))
    before = snapshot(target.domain)
    assert [number(target, target.at("vpl011"), size) & 0xFF for size in (1, 2, 4, 8)] == [ord("a")] * 4
    assert snapshot(target.domain) == before


@pytest.mark.parametrize("layout", ["ordinary", "direct", "hardware"])
def test_the_pages_of_an_aliased_cpu_interface_are_found_where_the_guest_finds_them(layout: str) -> None:
    """GIC-400: each 4 KiB page is repeated over 64 KiB (spec 6.8)."""
    target = LocalTarget(Domain(DomainConfig(vcpus=1, spis=32, layout=layout, gicc_size=0x20000)))
    window = target.window("gicc")
    for at in range(window.base, window.base + window.size, 0x1000):
        for offset in (0x04, 0xFC):
            physical = target.domain.apply(op.Read(0, op.Space.PHYSICAL, at + offset, 4, op.Plane.DEBUG)).value
            assert number(target, at + offset) == physical


def test_every_word_reads_as_a_guest_at_that_physical_address_would_see_it() -> None:
    target = LocalTarget()
    bring_up(target.domain)
    take(target.domain, 42, 0xA0)
    for name in ("gicd", "gicc"):
        window = target.window(name)
        for at in range(window.base, window.base + window.size, 4):
            expected = target.domain.apply(op.Read(0, op.Space.PHYSICAL, at, 4, op.Plane.DEBUG)).value
            assert number(target, at) == expected


# --- live reading -----------------------------------------------------------------------------------------------------


def test_a_live_read_is_the_guests_own(target: LocalTarget) -> None:
    target.domain.apply(op.Line(27, 1, 0))
    assert number(target, target.at("live_gicc", 0x0C)) == 27
    assert target.applied == [op.Read(0, GICC, 0x0C, 4)]
    assert number(target, target.at("gicc", 0x0C)) == 1023
    assert number(target, target.at("gicc", 0x14)) == 0  # RPR: it runs


@pytest.mark.parametrize(("offset", "length"), [(0, 0x1004), (0x0C, 3), (0x0E, 4), (0, 16)])
def test_a_live_dump_is_refused(target: LocalTarget, offset: int, length: int) -> None:
    target.domain.apply(op.Line(27, 1, 0))
    before = snapshot(target.domain)
    text = refusal(memory.read, target, 0, target.at("live_gicc", offset), length)
    assert "in gicc" in text
    assert snapshot(target.domain) == before


def test_a_live_read_that_the_register_does_not_take_is_refused_and_no_guest_fault(target: LocalTarget) -> None:
    assert "takes accesses of 4 bytes, not 1" in refusal(memory.read, target, 0, target.at("live_gicc", 0x04), 1)
    assert "no register at GICD+0xc" in refusal(memory.read, target, 0, target.at("live_gicd", 0x0C), 4)
    assert dict(target.domain.faults) == {}


def test_a_live_read_needs_the_role_of_a_guest() -> None:
    target = LocalTarget(role=Role.OBSERVE)
    assert "role guest" in refusal(memory.read, target, 0, target.at("live_gicc", 0x0C), 4)


def test_in_explicit_mode_a_live_read_wants_the_vcpu_where_a_guest_would_be(target: LocalTarget) -> None:
    target.domain.apply(op.Mode(True))
    assert "outside the guest" in refusal(memory.read, target, 0, target.at("live_gicc", 0x0C), 4)
    target.domain.apply(op.Enter(0))
    assert number(target, target.at("live_gicc", 0x0C)) == 1023
    assert "inside the guest" in refusal(memory.read, target, 0, target.at("live_gicd", 0), 4)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", ["gicd", "live_gicd", "gicd0"])
def test_a_write_is_the_guests_own(target: LocalTarget, window: str) -> None:
    memory.write(target, 0, target.at(window, 0x184), (1 << 10).to_bytes(4, "little"))
    assert target.applied == [op.Write(0, GICD, 0x184, 4, 1 << 10)]
    assert number(target, target.at("gicd", 0x104)) == 0xFFFFFBFF


def test_a_write_in_an_alias_window_is_of_its_vcpu(target: LocalTarget) -> None:
    memory.write(target, 0, target.at("gicc1", 0x04), b"\x50\0\0\0")
    assert target.applied == [op.Write(1, GICC, 0x04, 4, 0x50)]


@pytest.mark.parametrize(
    ("offset", "length", "accesses"),
    [
        (0x42A, 1, [(0x42A, 1)]),
        (0x428, 4, [(0x428, 4)]),
        (0x428, 16, [(0x428, 4), (0x42C, 4), (0x430, 4), (0x434, 4)]),
        (0x429, 3, [(0x429, 1), (0x42A, 1), (0x42B, 1)]),  # no halfwords here
        (0x42B, 6, [(0x42B, 1), (0x42C, 4), (0x430, 1)]),
        (0x080, 12, [(0x080, 4), (0x084, 4), (0x088, 4)]),
    ],
)
def test_a_write_is_made_of_the_widest_accesses_that_the_registers_take(
    target: LocalTarget, offset: int, length: int, accesses: list[tuple[int, int]]
) -> None:
    data = bytes(range(0x10, 0x10 + length))
    memory.write(target, 0, target.at("gicd", offset), data)
    assert [(write.address, write.size) for write in target.applied] == accesses
    assert b"".join(write.value.to_bytes(write.size, "little") for write in target.applied) == data


@pytest.mark.parametrize(
    ("place", "length", "says"),
    [
        (("gicd", 0x004), 4, "GICD_TYPER is read-only"),
        (("gicd", 0x800), 1, "GICD_ITARGETSR0 is read-only"),  # of SGIs and PPIs (IHI 0048B 4.3.12)
        (("gicd", 0xC04), 4, "GICD_ICFGR1 is read-only"),
        (("gicc", 0x00C), 4, "GICC_IAR is read-only. Reading live_gicc.IAR acknowledges."),
        (("gicd", 0x104), 1, "GICD_ISENABLER1 takes accesses of 4 bytes, not 1"),
        (("gicd", 0x104), 2, "takes accesses of 4 bytes, not 2"),
        (("gicd", 0x108), 8, "takes accesses of 4 bytes, not 8"),
        (("gicd", 0x42A), 2, "GICD_IPRIORITYR10 takes accesses of 1 or 4 bytes, not 2"),
        (("gicd", 0x00C), 4, "no register at GICD+0xc"),
        (("gicd", 0x10C), 4, "begins with INTID 96, and this domain has 0 to 95"),
        (("gicd", 0x104), 12, "begins with INTID 96"),  # its third word
        (("gicd", 0x000), 16, "GICD_TYPER is read-only"),  # its second word: CTLR is not written either
        (("gicd", 0xFFC), 8, "leaves gicd"),
        (("gich", 0x004), 4, "GICH_VTR is read-only"),
        (("gich", 0x110), 4, "List register 4 does not exist: a vCPU has 4, from 0."),
        (("gicc", 0x030), 4, "no register at GICC+0x30"),
    ],
)
def test_a_write_that_would_be_lost_is_refused(
    target: LocalTarget, place: tuple[str, int], length: int, says: str
) -> None:
    assert says in refused_write(target, target.at(*place), b"\x01" * length)
    assert target.applied == []


def test_a_breakpoint_instruction_never_reaches_fake_memory(target: LocalTarget) -> None:
    """gdb writes 0xCC where Z0 is not supported."""
    stack, size = target.layout.stack(1)
    for address in (target.layout.idle, target.layout.slot(42), stack, stack + size - 1):
        assert "Fake code and stacks" in refused_write(target, address, b"\xcc")
    assert "Nothing is at" in refused_write(target, 0x1234, b"\xcc")


def test_a_write_of_nothing_is_done(target: LocalTarget) -> None:
    """gdb's first `X addr,0:` asks whether binary writes are understood."""
    memory.write(target, 0, target.at("gicd"), b"")
    assert target.applied == []


def test_a_list_register_is_refused_in_automatic_mode(target: LocalTarget) -> None:
    target.domain.apply(op.Line(27, 1, 0))
    word = target.domain.vgic.vcpus[0].gich.lrs[0]
    text = refused_write(target, target.at("gich", 0x100), (word ^ 3 << 28).to_bytes(4, "little"))
    assert "monitor mode explicit" in text
    assert "monitor enter" in text


def test_a_list_register_is_the_hypervisors_in_explicit_mode(target: LocalTarget) -> None:
    target.domain.apply(op.Mode(True))
    target.domain.apply(op.Line(27, 1, 0))
    address = target.at("gich", 0x100)
    assert "outside the guest" in refused_write(target, address, bytes(4))
    target.domain.apply(op.Enter(0))
    word = number(target, address)
    assert word >> 28 & 3 == 1
    memory.write(target, 0, address, (word ^ 3 << 28).to_bytes(4, "little"))
    assert target.applied[-1] == op.Gich(0, 0x100, word ^ 3 << 28)
    assert number(target, address) >> 28 & 3 == 2


def test_a_list_register_takes_only_words(target: LocalTarget) -> None:
    target.domain.apply(op.Mode(True))
    target.domain.apply(op.Enter(0))
    assert "GICH_LR0 takes accesses of 4 bytes, not 1" in refused_write(target, target.at("gich", 0x103), b"\0")


def test_a_later_access_that_the_domain_refuses_is_told_with_what_was_done(target: LocalTarget) -> None:
    """Two list registers of one INTID (I4): only the domain can tell."""
    target.domain.apply(op.Mode(True))
    target.domain.apply(op.Enter(0))
    word = (1 << 28 | 40).to_bytes(4, "little")
    text = refusal(memory.write, target, 0, target.at("gich", 0x100), word + word + bytes(4))
    assert "1 of 3 accesses had been carried out before." in text
    assert number(target, target.at("gich", 0x100)) == 1 << 28 | 40
    assert number(target, target.at("gich", 0x104)) == 0


def test_writes_need_their_roles() -> None:
    observer, guest = LocalTarget(role=Role.OBSERVE), LocalTarget(role=Role.GUEST)
    assert "role guest" in refused_write(observer, observer.at("gicd"), b"\x01\0\0\0")
    assert "role control" in refused_write(guest, guest.at("gich", 0x100), b"\x01\0\0\0")


def test_a_vcpu_without_power_writes_nothing() -> None:
    target = LocalTarget()
    target.domain.apply(op.VcpuPower(1, False))
    assert "`monitor power 1 on` first" in refused_write(target, target.at("gicd"), b"\x01\0\0\0", vcpu=1)


# --- fake code and stacks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ARCHES)
def test_fake_code_does_nothing(arch: str) -> None:
    target = LocalTarget(arch=arch)
    nop = target.arch.nop
    for address in (target.layout.code[0], target.layout.idle, target.layout.slot(0), target.layout.slot(95)):
        assert memory.read(target, 0, address, 64) == nop * (64 // len(nop))
    assert memory.read(target, 0, target.layout.idle + 1, 3) == (nop * 4)[1:4]
    end = target.layout.irq_base + target.layout.irq_size
    assert len(memory.read(target, 0, end - 8, 64)) == 8


@pytest.mark.parametrize("arch", ARCHES)
def test_the_stack_holds_the_active_interrupts_innermost_first(arch: str) -> None:
    target = LocalTarget(arch=arch)
    bring_up(target.domain)
    for intid, priority in ((42, 0xA0), (27, 0x50), (5, 0x20)):
        if intid == 5:
            target.domain.apply(op.Write(0, GICD, 0x405, 1, priority))
            target.domain.apply(op.Write(0, GICD, 0xF00, 4, 2 << 24 | 5))
            target.domain.apply(op.Read(0, GICC, 0x0C, 4))
        else:
            take(target.domain, intid, priority)
    layout = target.layout
    expected = [layout.slot(5) + INTO_FRAME, layout.slot(27) + INTO_FRAME, layout.slot(42) + OTHER_END]
    assert returns(target, layout.idle) == [*expected, layout.idle + INTO_FRAME]
    stack, size = layout.stack(0)
    used = 4 * target.arch.slot
    assert memory.read(target, 0, stack, size - used) == bytes(size - used)
    assert memory.stack_pointer(target, 0, layout.idle) == stack + size - used


def returns(target: LocalTarget, pc: int, vcpu: int = 0) -> list[int]:
    """The return addresses on the stack of a vCPU that is at `pc`, up to its end."""
    pointer = memory.stack_pointer(target, vcpu, pc)
    base, size = target.layout.stack(vcpu)
    return [
        number(target, at + memory.return_slot(target.arch), target.arch.word)
        for at in range(pointer, base + size, target.arch.slot)
    ]


@pytest.mark.parametrize("arch", ARCHES)
def test_without_active_interrupts_there_is_a_frame_to_return_to(arch: str) -> None:
    """Stopped where a line rises, a vCPU was idle before: #0 irq27_raise, #1 idle."""
    target = LocalTarget(arch=arch)
    for vcpu in (0, 1):
        assert returns(target, target.layout.slot(27) + 16, vcpu) == [target.layout.idle + INTO_FRAME]


def test_a_vcpu_that_has_entered_an_interrupt_is_its_frame() -> None:
    """At a stop in irq27 itself, the frame that it returns to is the one that it preempted."""
    target = LocalTarget()
    layout = target.layout
    bring_up(target.domain)
    take(target.domain, 42, 0xA0)
    assert returns(target, layout.slot(42)) == [layout.idle + INTO_FRAME]
    take(target.domain, 27, 0x50)
    outer = [layout.slot(42) + OTHER_END, layout.idle + INTO_FRAME]
    assert returns(target, layout.slot(27)) == outer
    assert returns(target, layout.slot(42)) == [layout.slot(27) + INTO_FRAME, *outer]


def test_a_frame_stays_where_it_is_while_others_come_and_go() -> None:
    """`finish` and `until` know a frame by its address."""
    target = LocalTarget()
    bring_up(target.domain)
    take(target.domain, 42, 0xA0)
    alone = memory.stack_pointer(target, 0, target.layout.idle)
    take(target.domain, 27, 0x50)
    assert memory.stack_pointer(target, 0, target.layout.slot(27)) == alone
    assert number(target, alone, 8) == target.layout.slot(42) + OTHER_END


def test_a_vcpu_that_comes_back_to_a_frame_has_its_stack() -> None:
    """Otherwise gdb takes the end of what `finish` waits for for another call's, and goes on."""
    target = LocalTarget()
    layout = target.layout
    top = sum(layout.stack(0))
    bring_up(target.domain)
    assert memory.stack_pointer(target, 0, layout.idle + INTO_FRAME) == top
    take(target.domain, 42, 0xA0)
    entered = memory.stack_pointer(target, 0, layout.slot(42))
    assert entered + target.arch.slot == top, "its caller is idle"
    take(target.domain, 27, 0x50)
    called = memory.stack_pointer(target, 0, layout.slot(27)) + target.arch.slot
    target.domain.apply(op.Write(0, GICC, 0x10, 4, 27))
    assert memory.stack_pointer(target, 0, layout.slot(42) + OTHER_END) == called


def test_there_is_room_for_all_interrupts_at_once() -> None:
    target = LocalTarget(Domain(DomainConfig(vcpus=1, spis=960)), arch="aarch64")
    bring_up(target.domain)
    for word in range(target.domain.vgic.nr_irqs // 32):
        target.domain.apply(op.Write(0, GICD, 0x300 + 4 * word, 4, 0xFFFFFFFF))
    found = returns(target, target.layout.idle)
    assert len(found) == 993
    assert found[:2] == [target.layout.slot(0) + INTO_FRAME, target.layout.slot(1) + INTO_FRAME]
    assert len(memory.read(target, 0, *target.layout.stack(0))) == target.layout.stack(0)[1]


def test_gich_is_not_live() -> None:
    """No guest reaches it, so there is no guest's read of it."""
    names = [window.name for window in LocalTarget().layout.windows if window.space == GICH]
    assert names == ["gich", "gich0", "gich1"]
