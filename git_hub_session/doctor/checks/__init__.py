"""The checks of the doctor and their fixes."""
