"""What gdb is refused."""


class Refused(Exception):
    """A request that is not carried out, and has changed nothing; the text is a sentence for the user."""
