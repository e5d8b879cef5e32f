"""The parts of the commands push, fetch and work."""
