"""The hardware of a process: its threads, device and precision. Functions import torch late, on purpose."""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.machine.gpu_lease import log_line

# How often a thread looks for more work before it sleeps. The pauses between the operations of a model are shorter than
# waking takes, but threads that never sleep keep the cores from other jobs.
SPIN_COUNT = "10000"


def refuse_duplicate_tasks(environ: Mapping[str, str]) -> None:
    """Raise UserError if SLURM has started this program several times at once, and not to train together.

    Each copy would do the whole job, in the same folder. srun sets the number of a step's tasks. A process that a batch
    script starts by itself has no step: it is one process, however many tasks the script has (SLURM_NTASKS).
    """
    if "SLURM_STEP_ID" not in environ or "WORLD_SIZE" in environ:
        return
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS") or environ.get("SLURM_NTASKS") or 1)
    if tasks > 1:
        message = f"SLURM has started {tasks} copies of this program, and each would do the whole job"
        fix = "Ask for one task; in a Snakemake profile for SLURM: set-resources: {train: {tasks: 0}}"
        raise UserError(message, "SLURM_STEP_NUM_TASKS", fix)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection while torch and transformers are imported, and exclude their objects from it later.

    These millions of objects all stay. To search them again and again takes a quarter of the start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def use_threads(threads: int) -> None:
    """Compute with exactly `threads` threads, however many cores the job has: another number gives other bits.

    Call it before anything imports torch. In a fork of the warm server, which has imported it, the spin count is the
    server's and the number of threads is this one.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def resolve_precision(requested: str) -> str:
    """`auto` is bf16 if the hardware multiplies it (CUDA from Ampere on, CPUs with AMX or AVX512-BF16), else fp32."""
    import torch

    if requested != "auto":
        return requested
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def device() -> str:
    """The device of this process: `cuda` or `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def warn_no_gpu(requested: int, log: Path | None) -> None:
    """Log that a job with a request for GPUs computes on the CPU, which takes many times as long."""
    import torch

    if requested and device() == "cpu":
        log_line(f"no GPU is seen by torch {torch.__version__}: computing on the CPU", log)


@dataclass(frozen=True)
class GpuInfo:
    """A GPU of this process: its name, and its UUID as NVIDIA's driver writes it."""

    name: str
    uuid: str


def gpus_in_use(processes: int = 1) -> list[GpuInfo]:
    """The GPUs of so many processes that compute together, one each; none if they compute on the CPU."""
    import torch

    if device() == "cpu":
        return []
    properties = map(torch.cuda.get_device_properties, range(min(processes, torch.cuda.device_count())))
    return [GpuInfo(gpu.name, f"GPU-{gpu.uuid}") for gpu in properties]
