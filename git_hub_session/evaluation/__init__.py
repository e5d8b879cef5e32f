"""Measure the agents of a session."""
