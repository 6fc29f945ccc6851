"""`python -m vgicd_machine IMAGE` is `vgicctl run IMAGE`."""

from vgicd_machine.command import main

if __name__ == "__main__":
    main(prog_name="python -m vgicd_machine")
