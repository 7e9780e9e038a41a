"""Hugging Face's Trainer as its example programs build it, with the options that change nothing but speed."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments


@dataclass(frozen=True)
class Flags:
    """Options of an example's command line: `batch` rows a forward pass, of a training and of a prediction.

    `dynamic`: pad to the longest row of a pass. `grouped`: train on rows of similar length together. `bf16`: autocast.
    `bf16_eval`: predict with weights in bf16.
    """

    batch: int = 8
    dynamic: bool = False
    grouped: bool = False
    bf16: bool = False
    bf16_eval: bool = False


class Rows(torch.utils.data.Dataset):
    """The named columns of features, where they have them."""

    def __init__(self, found: Sequence[dict], names: Sequence[str]):
        self._rows = [{name: feature[name] for name in names if name in feature} for feature in found]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict:
        return self._rows[number]


def example_trainer(model: torch.nn.Module, data: Rows, collator: Callable, flags: Flags) -> Trainer:
    """A Trainer over one epoch of `data` with the examples' defaults."""
    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        per_device_train_batch_size=flags.batch,
        per_device_eval_batch_size=flags.batch,
        num_train_epochs=1,
        learning_rate=5e-5,
        train_sampling_strategy="group_by_length" if flags.grouped else "random",
        bf16=flags.bf16,
        bf16_full_eval=flags.bf16_eval,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    job = Trainer(model=model, args=arguments, train_dataset=data, data_collator=collator)
    job.remove_callback(PrinterCallback)
    # The state of accelerate is the process's, and another Trainer may have set it.
    if job.accelerator.mixed_precision != ("bf16" if flags.bf16 else "no"):
        raise RuntimeError(f"the Trainer computes in {job.accelerator.mixed_precision}")
    return job
