"""The parts of the command `eval`."""
