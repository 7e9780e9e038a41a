"""Files from the network: hub and addresses, pinned and checked."""
