"""Long answers on a terminal."""
