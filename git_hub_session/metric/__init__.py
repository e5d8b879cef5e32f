"""Find a metric in the output of a command, and parse its number and unit."""
