"""The domain: a deterministic state machine over one VGIC, its hardware and its devices.

Every input is an operation; `apply` runs it to completion.  Operations have one total order, and a number each.  A
refused operation changes nothing.  Virtual time is an input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from vgicd.domain import image as state_image
from vgicd.domain import operations as op
from vgicd.domain.access import GuestFault, RegisterAccess
from vgicd.domain.address_map import LAYOUTS, AddressMap, Region
from vgicd.domain.automatic import AutomaticSwitch
from vgicd.domain.config import DomainConfig
from vgicd.domain.devices.bundle import Devices
from vgicd.domain.errors import Code, CreationError, RequestError
from vgicd.domain.events import Event, EventKind
from vgicd.domain.invariants import check
from vgicd.domain.prepared import LIMIT, Prepared, prepare
from vgicd.domain.queries import Queries
from vgicd.domain.steps import Steps
from vgicd.hw.gich import EN, MAX_LRS
from vgicd.vgic import gicv3
from vgicd.vgic.errors import FatalAssertion
from vgicd.vgic.state import Options
from vgicd.vgic.variants import DEFECTS, xen_vgic
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.vgic import Vgic

_NO_EFFECTS: Final = ()
_GUEST: Final = int(op.Plane.GUEST)
_READ_ONLY: Final = (
    op.LrGet,
    op.IrqInfo,
    op.Dump,
    op.HwDesc,
    op.PendingCheck,
    op.EventChannelPending,
    op.Snapshot,
    op.Stats,
)


class Domain:
    """One guest's interrupt controller.

    Raises CreationError with Xen's errno for a geometry it refuses, and RequestError BAD_CONFIG for an unknown option.
    """

    def __init__(self, config: DomainConfig | None = None) -> None:
        self.order = 0
        self.faults: Counter[str] = Counter()
        self.prepared: dict[Any, Prepared] = {}  # by the keys of those who call `prepare`
        self._build(config or DomainConfig())

    # --- creation -------------------------------------------------------------------------------------------------

    def _build(self, config: DomainConfig) -> None:
        """In Xen's order (spec 6.9): sanitise, register, initialise, reserve, create the vCPUs.

        Until all that may be refused has been made, nothing of this domain changes.
        """
        kind = _check(config)
        gicv3.check_version(config.gic_version, config.vcpus)
        trace = config.profile == "trace"
        vgic = kind(
            config.vcpus,
            config.spis,
            Options(
                nr_lrs=config.lrs,
                iidr_revision=config.iidr_revision,
                hardware_domain=config.hardware_domain,
                eoi_compares_source=config.eoi_compares_source,
                idle_deactivates=config.eoi_when_idle == "deactivate",
                captures_edges=not trace,
                lazy=config.lazy and config.variant == "correct",
            ),
        )
        address_map = AddressMap(config, vpl011=config.profile == "xen-guest")
        devices = Devices(config, vgic)
        self.config = config
        self.vgic: Vgic = vgic
        self.address_map = address_map
        self.devices = devices
        self.explicit = trace
        self.now = 0
        self.aborts = vgic.aborts if config.strict_abort is None else config.strict_abort
        self.strict_gicc = bool(config.strict_abort)  # the guest's CPU interface is hardware: it never aborts
        self.switch = AutomaticSwitch(vgic, devices)
        self.access = RegisterAccess(self)
        self.steps = Steps(self)
        self.queries = Queries(self)
        self._events: list[Event] = []
        self._handlers = self._table()
        for vcpu in vgic.vcpus:
            vgic.enable_interface(vcpu)
            vcpu.gich.observe = None
            if trace:
                vcpu.gich.write_hcr(EN)
                vcpu.gich.write_vmcr(31 << 27 | 1)
        self._set_mode_rules()
        if not trace:
            self.switch.enter_everybody()
        vgic.effects.clear()

    def _table(self) -> dict[type, Callable[[Any], Any]]:
        steps, queries = self.steps, self.queries
        return {
            op.Read: self.access.read,
            op.Write: self.access.write,
            op.Line: steps.line,
            op.Enter: steps.enter,
            op.Exit: steps.exit,
            op.Mode: self._mode,
            op.LrGet: queries.lr_get,
            op.LrSet: steps.lr_set,
            op.Gich: steps.gich,
            op.IrqInfo: queries.irq_info,
            op.Dump: queries.dump,
            op.VirqAlloc: steps.virq_alloc,
            op.VirqReserve: steps.virq_reserve,
            op.VirqFree: steps.virq_free,
            op.HwConnect: steps.hw_connect,
            op.HwDisconnect: steps.hw_disconnect,
            op.HwDesc: queries.hw_desc,
            op.PhysLine: steps.phys_line,
            op.HwIrq: steps.hw_irq,
            op.VcpuMove: steps.vcpu_move,
            op.PendingCheck: queries.pending_check,
            op.EventChannelPending: queries.event_channel_pending,
            op.VcpuPower: steps.vcpu_power,
            op.SetIrqLevel: steps.set_irq_level,
            op.EventChannel: steps.event_channel,
            op.Console: steps.console,
            op.Time: steps.time,
            op.Snapshot: lambda _: state_image.save(self),
            op.Restore: lambda request: state_image.restore(self, request.image),
            op.Reset: self._reset,
            op.Stats: queries.stats,
        }

    def _set_mode_rules(self) -> None:
        """What depends on who switches worlds: only in automatic mode can an access fold everybody."""
        self.prepared.clear()
        self.vgic.folding_all = not self.explicit and self.vgic.folds_all
        self.traps_dir = self.config.variant == "correct"

    # --- the one way in -------------------------------------------------------------------------------------------

    def apply(self, operation: Any) -> op.Result:
        """Run `operation` (a record of `operations`) to completion.

        Raises RequestError: then the domain is as it was.
        """
        vgic = self.vgic
        effects = vgic.effects
        if effects:
            effects.clear()
        kind = type(operation)
        try:
            handler = self._handlers[kind]
        except KeyError:
            raise RequestError(Code.BAD_VALUE, "operation", f"{operation!r} is no operation") from None
        if kind in _READ_ONLY or (kind is op.Read and operation.plane != _GUEST):
            return self._look(handler, operation)
        outputs = self.switch.outputs
        if self.config.variant == "xen":
            value, fault = self._guarded(handler, operation)
        else:
            try:
                value, fault = handler(operation), False
            except GuestFault:
                value, fault = 0, True
            if not self.explicit:
                self.switch.settle()
        self.order += 1
        vgic = self.vgic
        vgic.kicked = 0
        if vgic.watched:
            self._collect(outputs)
        return op.Result(value, fault, self.order, self.switch.outputs, tuple(vgic.effects))

    def _look(self, handler: Callable[[Any], Any], operation: Any) -> op.Result:
        """As in `apply`, for what changes nothing: no world is switched after it, which alone would be an event."""
        try:
            value, fault = handler(operation), False
        except GuestFault:
            value, fault = 0, True
        except FatalAssertion as error:
            raise _refusal(error) from error
        return op.Result(value, fault, self.order, self.switch.outputs, _NO_EFFECTS)

    def _guarded(self, handler: Callable[[Any], Any], operation: Any) -> tuple[Any, bool]:
        """As in `apply`, for a variant that may hit a fatal assertion halfway: the state is then put back."""
        several = not self.explicit or isinstance(operation, op.Mode | op.Restore)  # steps that may fail halfway
        before = state_image.save(self) if several else None
        faults = self.faults.copy() if before is not None else None
        recorded = len(self._events)
        try:
            try:
                value, fault = handler(operation), False
            except GuestFault:
                value, fault = 0, True
            if not self.explicit:
                self.switch.settle()
        except FatalAssertion as error:
            if before is not None and faults is not None:
                state_image.restore(self, before)
                self.faults = faults
            self.vgic.effects.clear()
            self.vgic.events.clear()
            del self._events[recorded:]
            self.vgic.kicked = 0
            raise _refusal(error) from error
        return value, fault

    def prepare(self, key: Any, operation: op.Read | op.Write | op.Line) -> None:
        """Keep the prepared form of `operation`, which was just applied, under `key`, if it has one."""
        prepared = prepare(self, operation)
        if prepared is not None:
            if len(self.prepared) >= LIMIT:
                self.prepared.clear()
            self.prepared[key] = prepared

    # --- operations on the whole ------------------------------------------------------------------------------------

    def _mode(self, request: op.Mode) -> None:
        if request.explicit == self.explicit:
            return
        if request.explicit:
            self.switch.exit_everybody()
            self.explicit = True
            self._set_mode_rules()
            return
        inside = [vcpu.id for vcpu in self.vgic.vcpus if vcpu.inside]
        if inside:
            raise RequestError(
                Code.BAD_STATE, "explicit", f"vCPU {inside[0]} is inside the guest: EXIT all before automatic mode"
            )
        self.explicit = False
        self._set_mode_rules()
        self.switch.enter_everybody()

    def _reset(self, request: op.Reset) -> int:
        """A refused creation answers its errno and keeps the old domain."""
        old, watched = self.vgic, self.vgic.watched
        config = request.config if request.config is not None else self.config
        try:
            self._build(config)
        except CreationError as error:
            return error.errno
        with suppress(FatalAssertion):  # D18 meets D1: it stops the Xen of a domain that ends here anyway
            old.release_all()
        self.faults.clear()
        self.vgic.effects.extend(old.effects)
        self.listen(watched)
        self.vgic.note(EventKind.RESET, 0)
        return 0

    def resume(self) -> None:
        """The state was set from outside: nothing derived from the former one is valid."""
        vgic = self.vgic
        self._set_mode_rules()
        vgic.kicked = 0
        self.switch.outside = self.switch.outputs = self.switch.maintenance = 0
        if self.devices.vtimer is not None:
            self.devices.vtimer.now = self.now
        for vcpu in vgic.vcpus:
            vgic.touch_all(vcpu)
            self.switch.sense(vcpu)

    # --- watching ---------------------------------------------------------------------------------------------------

    def listen(self, mask: int) -> None:
        """Record events of kind k from now on iff bit k of `mask` is set."""
        if mask == self.vgic.watched:
            return
        self.prepared.clear()
        self.vgic.watched = mask
        for vcpu in self.vgic.vcpus:
            vcpu.gich.observe = self._observer(vcpu) if mask else None

    def take_events(self) -> list[Event]:
        """The events recorded since the last call, oldest first."""
        events, self._events = self._events, []
        return events

    def _observer(self, vcpu: Vcpu) -> Callable[[EventKind, int, int], None]:
        def observe(kind: EventKind, intid: int, value: int) -> None:
            self.vgic.note(kind, vcpu.id, intid, value)

        return observe

    def note_access(self, kind: EventKind, vcpu_id: int, address: int, width: int, value: int) -> None:
        """An ACCESS or FAULT, for watchers: the address does not fit the core's events, so it is recorded here."""
        self._collect(self.switch.outputs, order=self.order + 1)
        self._events.append(Event(self.order + 1, kind, vcpu_id, width, address, value))

    def _collect(self, outputs_before: int, order: int | None = None) -> None:
        number = self.order if order is None else order
        raw = self.vgic.events
        if raw:
            self._events.extend(Event(number, kind, vcpu, intid, 0, value) for kind, vcpu, intid, value in raw)
            raw.clear()
        if order is None and self.switch.outputs != outputs_before and self.vgic.watched >> EventKind.OUTPUT & 1:
            self._events.append(Event(number, EventKind.OUTPUT, 0, 0, 0, self.switch.outputs))

    def count_fault(self, kind: str, register: str) -> None:
        """A guest fault happened."""
        self.faults[f"{kind}.{register}"] += 1

    # --- what others may ask ----------------------------------------------------------------------------------------

    @property
    def outputs(self) -> int:
        """Bit 2v is the vIRQ and bit 2v+1 the vFIQ level of vCPU v."""
        return self.switch.outputs

    def frames(self) -> list[Region]:
        """The physical address map."""
        return list(self.address_map.regions)

    def check_invariants(self) -> None:
        """Raise InvariantError if the state contradicts itself."""
        check(self.vgic)


def _refusal(error: FatalAssertion) -> RequestError:
    text = f"Xen would stop in {error.site} ({error.defect}): {error.text}"
    return RequestError(Code.FATAL_ASSERTION, error.site, text)


def _check(config: DomainConfig) -> type[Vgic]:
    """The VGIC class that `config` asks for; RequestError BAD_CONFIG for what it cannot mean."""

    def refuse(field: str, text: str) -> RequestError:
        return RequestError(Code.BAD_CONFIG, field, text)

    if config.profile not in LAYOUTS:
        raise refuse("profile", f"profile {config.profile!r} is none of {', '.join(LAYOUTS)}")
    if not 1 <= config.lrs <= MAX_LRS:
        raise refuse("lrs", f"a vCPU has 1 to {MAX_LRS} list registers, not {config.lrs}")
    if config.eoi_when_idle not in ("deactivate", "ignore"):
        raise refuse("eoi_when_idle", f"eoi_when_idle is deactivate or ignore, not {config.eoi_when_idle!r}")
    if config.iidr_revision not in (0, 1, 2):
        raise refuse("iidr_revision", f"GICD_IIDR.Revision is 0, 1 or 2, not {config.iidr_revision}")
    for name in config.xen_without:
        if name not in DEFECTS:
            raise refuse("xen_without", f"{name} is no defect of Xen's: there are D1 to D{len(DEFECTS)}")
    match config.variant:
        case "correct":
            if config.xen_without:
                raise refuse("xen_without", "only variant xen has defects to leave out")
            return Vgic
        case "xen":
            return xen_vgic(frozenset(config.xen_without))
        case other:
            raise refuse("variant", f"variant {other!r} is neither correct nor xen")
