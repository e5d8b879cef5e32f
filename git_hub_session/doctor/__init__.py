"""Find and fix inconsistencies."""
