"""The daemon: listeners, connections, sessions and what watches over them. The only part that does I/O."""
