"""What a fold of a data set is called.

Owns: the form of the name. Must never know: which data sets there are.
"""

import re

FOLD = re.compile(r"(.+)-fold([1-9][0-9]*)")


def fold_name(dataset: str, fold: int) -> str:
    """The name under which a fold of a data set is a data set: `chaii-fold2`."""
    return f"{dataset}-fold{fold}"
