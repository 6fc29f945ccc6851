"""What the VGIC refuses.  After either of these the state is as it was before the call."""

from __future__ import annotations


class CreationError(Exception):
    """A domain, vCPU or mapping that cannot be made: `errno` is negative, as Xen returns it (spec 6.9)."""

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(text)
        self.errno = errno
        self.text = text


class FatalAssertion(Exception):
    """Xen stops at `site` (variant xen only); `defect` is its D-number.  The caller restores the state."""

    def __init__(self, defect: str, site: str, text: str) -> None:
        super().__init__(text)
        self.defect = defect
        self.site = site
        self.text = text


class RestoreError(Exception):
    """A RESTORE write of a value that the register cannot take."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
