"""Floor 2: bytes to arrays to variables."""
