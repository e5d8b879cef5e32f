"""What the commands do: plans that are values, then one apply; nothing here prints."""
