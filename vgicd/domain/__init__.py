"""The machine around the VGIC: one domain, its address map, its devices and its operations."""
