"""`vgicctl`: a daemon from the command line."""
