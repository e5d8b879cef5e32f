"""The command line: options, views and output."""
