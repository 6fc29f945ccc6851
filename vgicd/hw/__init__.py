"""The silicon: list registers, GICH, GICV and the physical distributor."""
