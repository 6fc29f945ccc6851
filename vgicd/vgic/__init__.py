"""The hypervisor software: Xen's new VGIC, correct by default and bug for bug on request."""
