"""The library `datasets`, without torch: it would import torch to format rows, which takes seconds and is not used."""

import os
from types import ModuleType

# What the library looks for when it is imported first.
SWITCHES = ("USE_TORCH", "USE_TF", "USE_JAX")


def import_datasets() -> ModuleType:
    """The library. Its messages and progress bars are off: every fault of a file is reported once, by a UserError."""
    before = {name: os.environ.get(name) for name in SWITCHES}
    os.environ.update(dict.fromkeys(SWITCHES, "0"))
    try:
        import datasets
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    return datasets
