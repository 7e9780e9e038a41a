"""Model cards: a README.md next to the weights of every kept checkpoint, with metadata for the hub."""
