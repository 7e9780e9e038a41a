"""Several processes that train one stage together, each with a GPU of its own.

torch's launcher starts them and puts their rank and number into their environment. They find each other through files
in a folder of the user alone, and talk over loopback: no other machine reaches them. Another user of this machine can
connect to loopback too, but nothing that arrives there is unpickled. By default torch would listen on all interfaces,
and would unpickle whatever anybody sends there. Light jobs import this module: functions import torch late.
"""

import ctypes
import json
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from crosstune.core.errors import UserError
from crosstune.machine.hardware import device

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")

# The other processes wait while the main one encodes, scores and saves. Only the launcher may end them, no timeout.
COLLECTIVE_TIMEOUT = timedelta(days=7)

# Time to save a state after a signal; a cluster that waits less kills the job itself. torch 2.11 always waits for 30 s.
SHUTDOWN_SECONDS = 600

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"

# The folder in which the processes of one training find each other.
MEETING_DIR = "CROSSTUNE_MEETING_DIR"


def started_by_launcher(environ: Mapping[str, str]) -> bool:
    """Whether `launch` has started this process. Raises UserError if torchrun has."""
    if "WORLD_SIZE" in environ and MEETING_DIR not in environ:
        raise UserError("torchrun's processes listen to the whole network", "torchrun", "Say instead: --gpus 2")
    return MEETING_DIR in environ


def launch(processes: int) -> None:
    """Run this program again, with the same arguments, as several processes that train together; wait for their end.

    If one of them fails, this program ends with it: the failed process has printed the reason. This process keeps its
    resources until then, among them the GPUs.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    loopback = "lo0" if sys.platform == "darwin" else "lo"
    with tempfile.TemporaryDirectory(prefix="crosstune-ranks-") as folder:  # its mode is 0700
        os.environ.update({MEETING_DIR: folder, "GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback})
        os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(SHUTDOWN_SECONDS)
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # else the launcher opens a store on all interfaces
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=str(uuid.uuid4()),
            rdzv_backend="c10d",
            rdzv_endpoint=f"{folder}/launcher",
            rdzv_configs={"store_type": "file"},
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
            signals_to_handle=SIGNALS,
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
        """The processes that `launch` has started with this one. Gradients use NCCL on GPUs, else gloo."""
        if not started_by_launcher(os.environ):
            return cls()
        import torch.distributed
        from accelerate import PartialState

        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        torch.distributed.init_process_group(
            "gloo" if device() == "cpu" else "nccl",
            init_method=Path(os.environ[MEETING_DIR], "ranks").as_uri(),
            rank=rank,
            world_size=size,
            timeout=COLLECTIVE_TIMEOUT,
        )
        PartialState(cpu=device() == "cpu")  # gives this process its GPU, and tells Accelerator of the group
        group = torch.distributed.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)
        return cls(rank, size, group, sharded)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def broadcast_from_main(self, compute: Callable[[], Result]) -> Result:
        """Run `compute` on the main process alone and give its result to all; if it raises, all processes raise.

        The result is a value of JSON: nothing that a process receives is unpickled.
        """
        if self.size == 1:
            return compute()
        result, failure = None, None
        if self.is_main:
            try:
                result = compute()
            except Exception as error:
                failure = error
        shown = failure if isinstance(failure, UserError) else failure and UserError("the main process failed")
        text = json.dumps([result, shown and [shown.message, shown.where, shown.fix]])
        result, parts = json.loads(self._broadcast_text(text))
        if parts:
            raise failure or UserError(*parts)
        return result

    def _broadcast_text(self, text: str) -> str:
        """The main process's text, on all processes."""
        import torch.distributed

        content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
        size = torch.tensor([len(content)])
        torch.distributed.broadcast(size, src=0, group=self.group)
        if not self.is_main:
            content = torch.empty(int(size), dtype=torch.uint8)
        torch.distributed.broadcast(content, src=0, group=self.group)
        return bytes(content.numpy()).decode()

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
