"""The host's side: its terminal, keyboard and clock."""
