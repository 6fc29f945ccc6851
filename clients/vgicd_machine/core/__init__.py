"""The CPUs: the engine that executes, and what it leaves to its user."""
