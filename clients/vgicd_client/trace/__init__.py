"""vgic-trace/1: recorded operations of Xen's new VGIC with what was observed, read, replayed and compared."""
