"""Functions of the operating system: files, processes, signals and /proc."""
