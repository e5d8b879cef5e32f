"""Merge the winner."""
