"""Supervise commands, and end the processes that they leave running."""
