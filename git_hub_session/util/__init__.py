"""Small functions that know neither git nor sessions."""
