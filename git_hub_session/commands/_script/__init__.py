"""The parts of the commands that print a script for a shell."""
