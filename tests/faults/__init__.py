"""What happens to a command from outside: killed at any system call, a disk that is full, or may not be written."""
