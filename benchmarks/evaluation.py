"""What evaluating costs beside the forward passes: one checkpoint on the twelve languages of XQuAD.

    python benchmarks/evaluation.py --bundle ../shared/data --out benchmarks/results/evaluation.md

The whole is what `predict` does once a model is loaded: encoding (or finding the encoded rows), forward passes, the
span search, the files. A model of 4 layers and a width of 256 with random weights; the variants take turns.
"""

import argparse
import shlex
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from rivals import ROOT, SIZES, processor

sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.core.files import write_jsonl
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry
from crosstune.machine.hardware import use_threads

ENCODING = {"max_length": 384, "stride": 128, "max_question_length": 64}
SPEC = {"dataset": "xquad", "head": "qa", "encoding": ENCODING, "precision": "fp32"}


def prepare_xquad(bundle: Path, folder: Path, rows: int) -> list[Path]:
    """Manifests of the first `rows` questions of every language."""
    dataset = load_registry(ROOT / "registry")["xquad"]
    manifests = []
    for lang in dataset.splits["test"].languages:
        out = folder / f"test.{lang}.jsonl"
        prepare(dataset, "test", lang, {"bundle": bundle}, folder, out, out.with_suffix(".json"))
        lines = out.read_text(encoding="utf-8").split("\n")[:rows]
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        manifests.append(out.with_suffix(".json"))
    return manifests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "../shared/data", help="folder with qa/xquad")
    parser.add_argument("--rows", type=int, default=400, help="questions of every language (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()

    use_threads(2)
    import torch

    from crosstune.artifacts.split import prepared_splits
    from crosstune.core.packing import pack
    from crosstune.modeling.batching import collate
    from crosstune.modeling.feature_cache import FeatureCache
    from crosstune.modeling.tokenization import Tokenizer
    from crosstune.modeling.tokenizer_training import train_tokenizer
    from crosstune.training.checkpoint_job import new_encoder
    from crosstune.training.inference import predict_dataset
    from crosstune.training.pass_size import prediction_pass

    folder = Path(tempfile.mkdtemp())
    manifests = prepare_xquad(args.bundle, folder / "data", args.rows)
    splits = prepared_splits(manifests)
    texts = ({"id": str(n), "text": text} for n, text in enumerate(read_contexts(splits)))
    write_jsonl(folder / "text.jsonl", texts)
    train_tokenizer([folder / "text.jsonl"], 3000, folder)
    size = {key: value for key, value in SIZES["small"].items() if key != "vocabulary"}
    tokenizer = Tokenizer(folder)
    network = new_encoder({"seed": 1, "max_length": 512, "packing": True, "recipe": {}, **size}, tokenizer).eval()
    network.add_head("qa", [], seed=1)
    cache = FeatureCache(folder / "encoded", tokenizer)

    def whole() -> None:
        predict_dataset(SPEC, network, cache, "", manifests, folder / "out", None)

    @torch.inference_mode()
    def passes() -> None:
        for split in splits.values():
            windows = cache.windows(network.tasks["qa"], split, ENCODING)
            for indices in pack(windows.lengths.tolist(), prediction_pass(network)):
                network.head("qa")(network.hidden(collate([windows] * len(indices), indices)))

    begin = time.perf_counter()
    whole()
    first = time.perf_counter() - begin
    seconds: dict[str, list[float]] = {"forward passes alone": [], "whole evaluation, rows encoded before": []}
    for _ in range(args.repeats):
        for name, run in zip(seconds, (passes, whole), strict=True):
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    base = statistics.median(seconds["forward passes alone"])
    lines = [
        f"# Evaluating on {len(manifests)} languages of XQuAD, {args.rows} questions each; 4 x 256 model, loaded once",
        "",
        f"{date.today()}, {processor()}; `python benchmarks/evaluation.py {shlex.join(sys.argv[1:])}`.",
        "",
        "| variant | median s | ratio |",
        "|:--|--:|--:|",
    ]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    medians["whole evaluation, rows to be encoded (once)"] = first
    lines += [f"| {name} | {value:.2f} | {value / base:.2f} |" for name, value in medians.items()]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


def read_contexts(splits: dict) -> list[str]:
    """The different contexts of prepared splits."""
    from crosstune.core.files import read_jsonl

    return list(dict.fromkeys(row["context"] for split in splits.values() for row in read_jsonl(split.rows)))


if __name__ == "__main__":
    main()
