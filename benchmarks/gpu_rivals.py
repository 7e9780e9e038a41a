"""What `transformers` offers, on the rows of gpu_steps.py: its Trainer, and a loop over padded rows for prediction."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from unittest.mock import patch

import torch
from gpu_steps import UPDATES, Clock, Measured, clean, config_of
from transformers import Trainer, TrainerCallback, TrainingArguments, XLMRobertaForQuestionAnswering

from crosstune.core.packing import GPU_PREDICTION_PASS_TOKENS, PREDICTION_PASS_TOKENS
from crosstune.machine.hardware import device, resolve_precision
from crosstune.modeling.features import Windows

PADDING = 1
# Tokens of a Trainer's forward pass: of more it sums the gradients of several, or an 80 GB GPU overflows.
LARGEST_PASS = 16_384


class Rows(torch.utils.data.Dataset):
    def __init__(self, windows: Windows):
        cuts = torch.from_numpy(windows.ids).long().split(windows.lengths.tolist())
        answers = zip(windows.per_window["start"].tolist(), windows.per_window["end"].tolist(), strict=True)
        self._rows = [
            {"input_ids": ids, "start_positions": start, "end_positions": end}
            for ids, (start, end) in zip(cuts, answers, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict:
        return self._rows[number]


def padded(rows: Sequence[dict]) -> dict[str, torch.Tensor]:
    """Rows padded to the longest of them."""
    ids = torch.nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], True, PADDING)
    answers = {name: torch.tensor([row[name] for row in rows]) for name in ("start_positions", "end_positions")}
    return {"input_ids": ids, "attention_mask": (ids != PADDING).long(), **answers}


class TimedTrainer(Trainer):
    """Counts the real tokens of every forward pass, on the device."""

    counts: list[torch.Tensor]

    def training_step(self, model: torch.nn.Module, inputs: dict, *others: object) -> torch.Tensor:
        self.counts.append(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *others)


class Timing(TrainerCallback):
    def __init__(self, clock: Clock, counts: list[torch.Tensor]):
        self._clock, self._counts = clock, counts

    def on_step_end(self, args, state, control, **_: object) -> None:
        self._clock.advance(sum(self._counts))
        self._counts.clear()


def timed_trainer(shape: str, windows: Windows, tokens: int, seconds: float, compiled: bool = False) -> Clock:
    """Trainer with sdpa, rows grouped by length and padded to the longest of a pass, fused AdamW, clipping at 1.

    In bf16 where the device has it. `compiled`: its torch_compile, with dynamic shapes.
    """
    clean()
    torch.manual_seed(0)
    with torch.device(device()):
        model = XLMRobertaForQuestionAnswering(config_of(shape, 0.1))
    assert model.config._attn_implementation == "sdpa"
    passes = -(-tokens // LARGEST_PASS)
    # Its passes have many shapes, and the first pass of every shape is slow.
    clock = Clock(seconds, 6)
    on_gpu = device() == "cuda"
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"ACCELERATE_DYNAMO_USE_DYNAMIC": "true"}):
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=max(1, round(tokens / passes / windows.lengths.mean())),
            gradient_accumulation_steps=passes,
            max_steps=UPDATES,
            learning_rate=2e-5,
            optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length",
            bf16=resolve_precision("auto") == "bf16",
            use_cpu=not on_gpu,
            torch_compile=compiled,
            dataloader_num_workers=2 if on_gpu else 0,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        job = TimedTrainer(model=model, args=arguments, train_dataset=Rows(windows), data_collator=padded)
        job.counts = []
        job.add_callback(Timing(clock, job.counts))
        with suppress(Measured):
            job.train()
    return clock


@torch.inference_mode()
def timed_loop(shape: str, windows: Windows, seconds: float, compiled: bool = False) -> Clock:
    """Forward passes over rows sorted by length, padded to the longest of a pass, with sdpa and autocast.

    No Trainer: its predict sorts nothing. A pass has as many places as one of the product's has tokens.
    """
    clean()
    with torch.device(device()):
        model = XLMRobertaForQuestionAnswering(config_of(shape, 0.1)).eval()
    if compiled:
        model.compile(dynamic=True)
    rows = sorted(Rows(windows), key=lambda row: len(row["input_ids"]))
    places = GPU_PREDICTION_PASS_TOKENS if device() == "cuda" else PREDICTION_PASS_TOKENS
    batches: list[list[dict]] = [[]]
    for row in rows:
        if len(row["input_ids"]) * (len(batches[-1]) + 1) > places:
            batches.append([])
        batches[-1].append(row)
    clock = Clock(seconds, 1)
    cast = torch.autocast(device(), torch.bfloat16, enabled=resolve_precision("auto") == "bf16")
    with suppress(Measured):
        while True:
            for batch in batches:
                inputs = padded(batch)
                inputs = {name: inputs[name].to(device()) for name in ("input_ids", "attention_mask")}
                with cast:
                    found = model(**inputs)
                torch.stack([found.start_logits, found.end_logits], -1).float().cpu()
            clock.advance(len(windows.ids))
    return clock
