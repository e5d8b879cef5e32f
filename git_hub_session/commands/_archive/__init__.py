"""The parts of the command archive."""
