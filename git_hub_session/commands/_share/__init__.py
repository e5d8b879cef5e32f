"""The parts of the commands push and fetch."""
