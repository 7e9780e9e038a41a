"""Compute threads of a process.

Owns: how many threads compute and how they wait. Must never know: what is computed. Imports torch late, on purpose.
"""

import os


def use_threads(threads: int) -> None:
    """Compute with exactly `threads` threads, whatever cores the job was handed: another number gives other bits.

    To be called before anything imports torch: waiting threads that spin make two jobs on two cores half as fast.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
