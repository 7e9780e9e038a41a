"""Versions of the code that results depend on."""

# Raised by hand when a change of the code changes results: everything that stands on the old code is then made anew.
PRETRAIN_VERSION = 3

TRAIN_VERSION = 5

PREDICT_VERSION = 2
