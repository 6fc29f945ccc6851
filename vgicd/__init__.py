"""vgicd: a virtual ARM GICv2, Xen's new VGIC, served over a socket."""

__version__ = "0.1.0"
