"""The operating system: files, processes, signals and /proc."""
