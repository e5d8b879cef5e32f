"""Compare measured values and rank agents."""
