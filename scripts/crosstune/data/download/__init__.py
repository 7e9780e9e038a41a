"""Downloads of data sets and models, from the hub and from addresses, pinned and checked."""
