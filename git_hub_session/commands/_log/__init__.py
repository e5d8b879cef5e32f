"""The parts of the command log."""
