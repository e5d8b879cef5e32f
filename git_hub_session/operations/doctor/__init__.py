"""What does not fit in a hub: found by looking at all of it, and mended where that loses nothing."""
