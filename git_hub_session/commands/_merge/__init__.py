"""The parts of the command `merge`."""
