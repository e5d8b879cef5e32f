"""Measure agents beside the base branch on several machines, and rank them by the ratios."""
