"""Event kinds: what can be watched happening inside a domain."""

from __future__ import annotations

from enum import IntEnum


class EventKind(IntEnum):
    """Numbers are part of the wire format and never change."""

    OUTPUT = 0  # value = the outputs word after the change
    LINE = 1  # an input line changed; value = level
    PEND = 2  # an interrupt became pending in the distributor
    QUEUE = 3  # put on an ap_list
    LOAD = 4  # put into a list register; value = its word
    ACK = 5  # acknowledged by the guest; value = what IAR answered
    EOI = 6  # EOIR written; value = as written
    DEACTIVATE = 7  # no longer active
    UNLIST = 8  # taken off its ap_list
    MIGRATE = 9  # moved to another vCPU's ap_list; value = the new vCPU
    KICK = 10
    MAINTENANCE = 11  # maintenance interrupt asserted; value = GICH_MISR
    ACCESS = 12  # guest register access; intid = size | write << 8, address = space << 28 | offset
    FAULT = 13  # guest fault; as ACCESS
    ENTER = 14  # by the client, in explicit mode
    EXIT = 15  # likewise; automatic switches go unsaid, LOAD tells what they load
    RESET = 16
    CONSOLE = 17  # the guest transmitted; value = the byte
