"""Measure agents and rank them."""
