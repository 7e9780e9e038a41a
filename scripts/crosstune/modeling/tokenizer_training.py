"""A sentencepiece vocabulary trained on prepared text, written as a fast tokenizer."""

from collections.abc import Iterator
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from crosstune.core.errors import UserError
from crosstune.core.files import atomic_open, read_jsonl, write_json

SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}

# Smoothing of the languages' shares in the vocabulary's training text, as in XLM-R (Conneau et al. 2020).
ALPHA = 0.3

# Lines of each file in the sample. With little text in all, smoothing must not drop most of it.
MIN_LINES, MAX_LINES = 1000, 200_000


def train_tokenizer(texts: list[Path], vocabulary: int, out: Path) -> None:
    """Train a unigram model on the rows of prepared text files; write tokenizer.json and sentencepiece.model.

    Raises UserError if the text does not support a vocabulary of that size.
    """
    with atomic_open(out / "sentencepiece.model") as file:
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(_sample(texts)),
                model_writer=file,
                vocab_size=vocabulary,
                model_type="unigram",
                character_coverage=1.0,
                normalization_rule_name="nmt_nfkc",
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                pad_piece="<pad>",
                user_defined_symbols=["<mask>"],
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise UserError(
                f"no vocabulary of {vocabulary} pieces from this text: {error}",
                "pretrain.vocabulary",
                "Choose a smaller vocabulary or add text.",
            ) from None
    processor = sentencepiece.SentencePieceProcessor(model_file=str(out / "sentencepiece.model"))
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(len(processor))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS.values()])
    begin, end = (SPECIALS[name] for name in ("cls_token", "sep_token"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (begin, end)],
    )
    with atomic_open(out / "tokenizer.json") as file:
        file.write(tokenizer.to_str(pretty=False).encode("utf-8"))
    write_json(out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **SPECIALS})


def _sample(texts: list[Path]) -> Iterator[str]:
    """Lines of all files, cut so that large files outweigh small ones only by size ** ALPHA."""
    files = [read_jsonl(path) for path in sorted(texts)]
    smallest = min(map(len, files))
    for rows in files:
        smoothed = round(smallest * (len(rows) / smallest) ** ALPHA) if smallest else 0
        for row in rows[: min(MAX_LINES, max(smoothed, MIN_LINES))]:
            yield row["text"]
            if "pair" in row:
                yield row["pair"]
