"""The hardware that a process computes with.

Owns: how many threads compute and how they wait, how it starts and ends, the device, the precision.
Must never know: what is computed. Imports torch late, on purpose.
"""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.machine.gpu_lease import tell

# How often a thread looks whether there is more to do before it sleeps: the pauses between the operations of a model
# are shorter than waking takes, but threads that never sleep keep the cores from other jobs.
SPINS = "10000"


def refuse_duplicates(environ: Mapping[str, str]) -> None:
    """UserError where SLURM has started this program several times at once, and not to train together (torchrun).

    Each of them would do the whole job, into the same folder. srun says how many tasks the step has. What a batch
    script starts by itself is one process, however many tasks the script was given (SLURM_NTASKS): it has no step.
    """
    if "SLURM_STEP_ID" not in environ or "WORLD_SIZE" in environ:
        return
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS") or environ.get("SLURM_NTASKS") or 1)
    if tasks > 1:
        message = f"SLURM has started {tasks} copies of this program, and each would do the whole job"
        fix = "Ask for one task; in a Snakemake profile for SLURM: set-resources: {train: {tasks: 0}}"
        raise UserError(message, "SLURM_STEP_NUM_TASKS", fix)


@contextmanager
def quick_imports() -> Iterator[None]:
    """No garbage collection while torch and transformers are imported, nor among what they made.

    That is millions of objects, which all stay; to look through them again and again takes a quarter of the start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def use_threads(threads: int) -> None:
    """Compute with exactly `threads` threads, whatever cores the job was handed: another number gives other bits.

    To be called before anything imports torch.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["GOMP_SPINCOUNT"] = SPINS
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def resolve_precision(asked: str) -> str:
    """`auto` is bf16 where the hardware multiplies it (CUDA from Ampere on, CPUs with AMX or AVX512-BF16)."""
    import torch

    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def device() -> str:
    """The device that this process computes on."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def tell_of_no_gpu(wanted: int, log: Path | None) -> None:
    """Say that a job which asked for GPUs computes on the CPU: it takes many times as long and looks like any other."""
    import torch

    if wanted and device() == "cpu":
        tell(f"no GPU is seen by torch {torch.__version__}: computing on the CPU", log)


@dataclass(frozen=True)
class Gpu:
    """A GPU of this process: its name, and its UUID as NVIDIA's driver writes it."""

    name: str
    uuid: str


def gpus_in_use(processes: int = 1) -> list[Gpu]:
    """The GPUs that so many processes compute on together, one each; none where they compute on the CPU."""
    import torch

    if device() == "cpu":
        return []
    found = map(torch.cuda.get_device_properties, range(min(processes, torch.cuda.device_count())))
    return [Gpu(gpu.name, f"GPU-{gpu.uuid}") for gpu in found]
