"""Whatever is typed after `monitor` is answered with text, and an observer's typing changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.property.budget import THOROUGH
from tests.unit.gdbstub.desk import Desk
from tests.unit.gdbstub.local import snapshot
from vgicd.domain.events import EventKind
from vgicd.gdbstub import osdata
from vgicd.gdbstub.monitor import COMMANDS
from vgicd_protocol.frames import Role

WORDS = st.sampled_from(
    [
        *(row.name for row in COMMANDS), *(kind.name.lower() for kind in EventKind),
        "up", "down", "pulse", "on", "off", "auto", "explicit", "automatic", "all",
        "0", "1", "7", "27", "33", "95", "96", "1023", "0x21", "irq33", "vcpu1", "vtimer", "-1", "+5", "9" * 50, "0x",
    ]
)  # fmt: skip
LINES = st.one_of(
    st.lists(WORDS, max_size=4).map(" ".join),
    st.tuples(WORDS, st.text(max_size=20)).map(" ".join),
    st.text(max_size=40),
    st.text(min_size=990, max_size=1010),
)


@THOROUGH
@given(st.lists(LINES, min_size=1, max_size=6))
def test_whatever_is_typed_is_answered(lines: list[str]) -> None:
    desk = Desk(role=Role.CONTROL)
    for line in lines:
        answer = desk.monitor.run(line)
        assert answer.endswith("\n")
        answer.encode()
        desk.domain.check_invariants()


@THOROUGH
@given(st.lists(LINES, min_size=1, max_size=6))
def test_an_observer_changes_nothing(lines: list[str]) -> None:
    desk = Desk(role=Role.OBSERVE)
    before = (desk.domain.order, snapshot(desk.domain))
    for line in lines:
        desk.monitor.run(line)
        osdata.document(desk.target, line)
    assert (desk.domain.order, snapshot(desk.domain)) == before
