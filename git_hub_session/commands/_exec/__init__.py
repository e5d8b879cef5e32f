"""The parts of the command `exec`."""
