"""The parts of the command status."""
