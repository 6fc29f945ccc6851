"""What is derived from the register rows for other tools."""
