"""Model cards: a README.md beside the weights of every kept checkpoint, with metadata for the hub."""
