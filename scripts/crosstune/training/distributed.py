"""Several processes that train one stage together, each with a GPU of its own.

Owns: how they are started, how they find each other, agree and end. Must never know: what is trained.

They are torchrun's: its launcher starts them and says who is who in their environment. Imports torch late, on purpose.
"""

import ctypes
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from crosstune.core.errors import UserError
from crosstune.machine.hardware import device

if TYPE_CHECKING:
    import torch

Made = TypeVar("Made")

# The main process encodes, scores and saves while the others wait; what ends them is the launcher, not a clock.
PATIENCE = timedelta(days=7)

# Seconds to save a state in when the job is asked to end; a cluster that waits for less kills it itself.
SECONDS_TO_END = 600

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


def is_one_of_several(environ: Mapping[str, str]) -> bool:
    """Whether torchrun has started this process."""
    return "WORLD_SIZE" in environ


def launch(processes: int) -> None:
    """Run this program again, with the same arguments, as several processes that train together; returns when they end.

    Ends this program where one of them fails: it has told why. What holds for this process holds until they have
    ended, its GPUs among it.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
        signals_to_handle=SIGNALS,
        shutdown_timeout=SECONDS_TO_END,
    )
    try:
        # In arguments it puts something in the place of ${names}.
        elastic_launch(config, sys.executable)(*(argument.replace("$", "$$") for argument in sys.argv))
    except SignalException:
        sys.exit(1)
    except ChildFailedError as error:
        codes = {rank: end.exitcode for rank, end in error.failures.items()}
        killed = [f"process {rank} was killed by signal {-code}" for rank, code in codes.items() if code < 0]
        sys.exit("\n".join(killed) or 1)


def end_with_launcher() -> None:
    """Let the kernel kill this process when its launcher is killed: its GPUs are then free for others to take."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


@dataclass(frozen=True)
class Ranks:
    """The processes that train a stage, and which of them this is: of one process that one.

    `group`: the connection over which they talk of anything but gradients; it uses no GPU, so that none has to wait.
    `sharded`: whether each of several holds a part of the network, not all of it.
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    sharded: bool = False

    @classmethod
    def of_process(cls, sharded: bool = False) -> "Ranks":
        """Those that torchrun has started with this process. Gradients go through NCCL on GPUs, else through gloo."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        import torch.distributed
        from accelerate import PartialState

        state = PartialState(cpu=device() == "cpu", timeout=PATIENCE)
        group = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
        return cls(state.process_index, state.num_processes, group, sharded)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def told(self, make: Callable[[], Made]) -> Made:
        """What `make` gives on the main process, which alone runs it; where it raises there, all raise."""
        if self.size == 1:
            return make()
        import torch.distributed

        made, failure = None, None
        if self.main:
            try:
                made = make()
            except Exception as error:
                failure = error
        told = failure if failure is None or isinstance(failure, UserError) else UserError("the main process failed")
        outcome = [made, told]
        torch.distributed.broadcast_object_list(outcome, src=0, group=self.group)
        if failure or outcome[1]:
            raise failure or outcome[1]
        return outcome[0]

    def main_first(self, make: Callable[[], Made]) -> Made:
        """What `make` gives, which the others run after the main process, to find what that has left behind."""
        made: list[Made] = []
        self.told(lambda: made.append(make()))
        return made[0] if made else make()

    def agreed(self, *flags: bool) -> list[bool]:
        """For each flag whether any of the processes has it."""
        if self.size == 1:
            return list(flags)
        import torch.distributed

        found = torch.tensor(flags, dtype=torch.int32)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX, group=self.group)
        return [bool(flag) for flag in found]

    def summed(self, *values: "torch.Tensor | None") -> list[float | None]:
        """The sum of each value over the processes; None where none of them has one."""
        if self.size == 1:
            return [None if value is None else value.item() for value in values]
        import torch.distributed

        numbers = [(0.0, 0.0) if value is None else (value.item(), 1.0) for value in values]
        found = torch.tensor(numbers, dtype=torch.float64)
        torch.distributed.all_reduce(found, group=self.group)
        return [total if present else None for total, present in found.tolist()]

    def sum_gradients(self, parameters: Iterable["torch.nn.Parameter"]) -> None:
        """Let every gradient be its sum over the processes; a parameter that none of them has one of keeps none."""
        if self.size == 1:
            return
        import torch.distributed

        parameters = list(parameters)
        somewhere = self.agreed(*(parameter.grad is not None for parameter in parameters))
        summed = [parameter for parameter, wanted in zip(parameters, somewhere, strict=True) if wanted]
        for parameter in summed:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for work in [torch.distributed.all_reduce(parameter.grad, async_op=True) for parameter in summed]:
            work.wait()

    def part(self) -> None:
        """Let each go on alone: the training is done."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.destroy_process_group()
