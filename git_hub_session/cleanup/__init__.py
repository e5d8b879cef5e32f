"""Decide, save, remove and archive."""
