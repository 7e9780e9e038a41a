"""Several processes that train one stage together, each with a GPU of its own.

torchrun's launcher starts them and puts their rank and number into their environment. Light jobs import this module:
functions import torch late.
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

Result = TypeVar("Result")

# The other processes wait while the main one encodes, scores and saves. Only the launcher may end them, no timeout.
COLLECTIVE_TIMEOUT = timedelta(days=7)

# Time to save a state after a signal; a cluster that waits less kills the job itself.
SHUTDOWN_SECONDS = 600

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


def started_by_torchrun(environ: Mapping[str, str]) -> bool:
    """Whether torchrun has started this process."""
    return "WORLD_SIZE" in environ


def launch(processes: int) -> None:
    """Run this program again, with the same arguments, as several processes that train together; wait for their end.

    If one of them fails, this program ends with it: the failed process has printed the reason. This process keeps its
    resources until then, among them the GPUs.
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
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    try:
        # The launcher substitutes ${names} in arguments.
        elastic_launch(config, sys.executable)(*(argument.replace("$", "$$") for argument in sys.argv))
    except SignalException:
        sys.exit(1)
    except ChildFailedError as error:
        codes = {rank: end.exitcode for rank, end in error.failures.items()}
        killed = [f"process {rank} was killed by signal {-code}" for rank, code in codes.items() if code < 0]
        sys.exit("\n".join(killed) or 1)


def die_with_launcher() -> None:
    """Let the kernel kill this process when its launcher is killed, so that its GPUs become free."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


@dataclass(frozen=True)
class Ranks:
    """The processes that train a stage together, and the rank of this one; by default a single process.

    `group`: the connection for all messages but gradients; it uses no GPU, so no GPU waits for it. `sharded`: whether
    each of several processes holds a part of the weights instead of all.
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    sharded: bool = False

    @classmethod
    def of_process(cls, sharded: bool = False) -> "Ranks":
        """The processes that torchrun has started with this one. Gradients use NCCL on GPUs, else gloo."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        import torch.distributed
        from accelerate import PartialState

        state = PartialState(cpu=device() == "cpu", timeout=COLLECTIVE_TIMEOUT)
        group = torch.distributed.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)
        return cls(state.process_index, state.num_processes, group, sharded)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def broadcast_from_main(self, compute: Callable[[], Result]) -> Result:
        """Run `compute` on the main process alone and give its result to all; if it raises, all processes raise."""
        if self.size == 1:
            return compute()
        import torch.distributed

        result, failure = None, None
        if self.is_main:
            try:
                result = compute()
            except Exception as error:
                failure = error
        known = failure is None or isinstance(failure, UserError)
        outcome = [result, failure if known else UserError("the main process failed")]
        torch.distributed.broadcast_object_list(outcome, src=0, group=self.group)
        if failure or outcome[1]:
            raise failure or outcome[1]
        return outcome[0]

    def main_process_first(self, compute: Callable[[], Result]) -> Result:
        """Run `compute` on the main process and then on the others, which find the files that the first has written."""
        results: list[Result] = []
        self.broadcast_from_main(lambda: results.append(compute()))
        return results[0] if results else compute()

    def any_true(self, *flags: bool) -> list[bool]:
        """For each flag whether it is true on any of the processes."""
        if self.size == 1:
            return list(flags)
        import torch.distributed

        maxima = torch.tensor(flags, dtype=torch.int32)
        torch.distributed.all_reduce(maxima, torch.distributed.ReduceOp.MAX, group=self.group)
        return [bool(flag) for flag in maxima]

    def all_reduce_sum(self, *values: "torch.Tensor | None") -> list[float | None]:
        """The sum of each value over the processes; None if it is None on all of them."""
        if self.size == 1:
            return [None if value is None else value.item() for value in values]
        import torch.distributed

        numbers = [(0.0, 0.0) if value is None else (value.item(), 1.0) for value in values]
        sums = torch.tensor(numbers, dtype=torch.float64)
        torch.distributed.all_reduce(sums, group=self.group)
        return [total if present else None for total, present in sums.tolist()]

    def sum_gradients(self, parameters: Iterable["torch.nn.Parameter"]) -> None:
        """Replace every gradient by its sum over the processes; a parameter without gradient on any keeps none."""
        if self.size == 1:
            return
        import torch.distributed

        parameters = list(parameters)
        present = self.any_true(*(parameter.grad is not None for parameter in parameters))
        summed = [parameter for parameter, anywhere in zip(parameters, present, strict=True) if anywhere]
        for parameter in summed:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for work in [torch.distributed.all_reduce(parameter.grad, async_op=True) for parameter in summed]:
            work.wait()

    def shutdown(self) -> None:
        """Close the connections; each process continues alone."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.destroy_process_group()
