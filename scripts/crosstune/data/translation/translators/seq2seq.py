"""Translation by a sequence-to-sequence model of `transformers`: NLLB, M2M100, mBART, Marian (OPUS-MT), T5 (MADLAD).

Every distinct sentence of the lines is translated once. Models get the languages as special tokens of the source and of
the translation's beginning (NLLB, M2M100, mBART), or as a word before each source sentence (`>>spa<<`, `<2es>`); models
of one pair get none. No code of a model's repository is run.
"""

import copy
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from crosstune.artifacts.model_config import LOCAL
from crosstune.core.errors import UserError
from crosstune.core.packing import pack
from crosstune.data.translation.translators import Translator
from crosstune.data.translation.translators.sentences import join_sentences, split_sentences

# Tokens of one forward pass, with beams and padding. It is no option, because another number changes rounding.
BATCH_TOKENS = 8192

# Limit on a sentence if neither tokenizer nor model sets one (T5).
DEFAULT_MAX_TOKENS = 512

transformers_logging.set_verbosity_error()

transformers_logging.disable_progress_bar()


class ModelTranslator(Translator):
    """`folder` holds model and tokenizer; `codes` maps this project's codes to the model's, if they differ."""

    def __init__(self, folder: Path, codes: Mapping[str, str], beams: int = 1):
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
            model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32, **LOCAL)
        except Exception as error:  # transformers raises many types for other models
            fix = "Name a model that AutoModelForSeq2SeqLM loads without code of its own, such as NLLB or OPUS-MT."
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"not a translation model ({reason})", str(folder), fix) from None
        self._codes, self._beams = dict(codes), beams
        config = model.config
        limits = (self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or 10**9)
        self._max_tokens = min(limits) if min(limits) < 10**6 else DEFAULT_MAX_TOKENS
        if torch.cuda.is_available():
            model = model.to(
                torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
            )
            self._models = [copy.deepcopy(model).to(f"cuda:{place}") for place in range(torch.cuda.device_count())]
        else:
            self._models = [model]
        for model in self._models:
            model.eval()

    def check(self, source: str, target: str) -> None:
        if hasattr(self._tokenizer, "src_lang"):
            for language in (source, target):
                if self._code_token(language) is None:
                    code = self._codes.get(language, language)
                    message = f"the model does not know {language} as {code!r}"
                    raise UserError(message, "translator.codes", f"Such as: codes: {{{language}: THE MODEL'S NAME}}")
            return
        prefixes = getattr(self._tokenizer, "supported_language_codes", None)
        if prefixes and self._prefix(target) not in prefixes:
            known = ", ".join(prefixes[:12]) + (", ..." if len(prefixes) > 12 else "")
            message = f"the model translates into several languages, and none is {target} (known: {known})"
            raise UserError(message, "translator.codes", f'Such as: codes: {{{target}: "{prefixes[0]}"}}')
        for language, name in ((source, "source_lang"), (target, "target_lang")):
            stated = getattr(self._tokenizer, name, None)
            if stated and not prefixes and self._codes.get(language, language) != stated:
                message = f"the model's {name} is {stated!r}, and {language} is requested"
                raise UserError(message, "translator.codes", f"If that is right: codes: {{{language}: {stated}}}")

    def translate(self, lines: Sequence[str], source: str, target: str) -> list[str]:
        self.check(source, target)
        cut = [split_sentences(line) for line in lines]
        distinct = list(dict.fromkeys(sentence for parts in cut for sentence in parts))
        found = dict(zip(distinct, self._translate_sentences(distinct, source, target), strict=True))
        return [join_sentences(found[sentence] for sentence in parts) for parts in cut]

    def _translate_sentences(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        if not texts:
            return []
        options = {"num_beams": self._beams, "do_sample": False}
        prefix = ""
        if hasattr(self._tokenizer, "src_lang"):
            self._tokenizer.src_lang = self._codes.get(source, source)
            options["forced_bos_token_id"] = self._code_token(target)
        elif self._prefix(target):
            prefix = f"{self._prefix(target)} "
        encoded = self._encode([prefix + text for text in texts])
        # What is translated together does not depend on how many GPUs there are.
        batches = pack([len(ids) for ids in encoded], BATCH_TOKENS // self._beams, padded=True)
        free: SimpleQueue = SimpleQueue()
        for model in self._models:
            free.put(model)

        def run(batch: Sequence[int]) -> list[list[int]]:
            model = free.get()
            try:
                return self._generate(model, [encoded[place] for place in batch], options)
            finally:
                free.put(model)

        translated = [""] * len(texts)
        with ThreadPoolExecutor(len(self._models)) as pool:
            for batch, outputs in zip(batches, pool.map(run, batches), strict=True):
                for place, text in zip(batch, self._decode(outputs), strict=True):
                    translated[place] = text
        return translated

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, truncated to the model's maximum."""
        encoded = self._tokenizer(texts, verbose=False)["input_ids"]
        long = [place for place, ids in enumerate(encoded) if len(ids) > self._max_tokens]
        self.truncated += len(long)
        for place in long:
            encoded[place] = self._tokenizer(texts[place], truncation=True, max_length=self._max_tokens)["input_ids"]
        return encoded

    @torch.inference_mode()
    def _generate(self, model, encoded: Sequence[Sequence[int]], options: Mapping) -> list[list[int]]:
        """Token ids of the translations of one batch."""
        longest = max(map(len, encoded))
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in encoded])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in encoded])
        room = min(2 * longest + 16, self._max_tokens - 1)
        inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
        return model.generate(**inputs, **options, max_new_tokens=room).tolist()

    def _decode(self, outputs: Sequence[Sequence[int]]) -> list[str]:
        ended = {self._tokenizer.eos_token_id, self._tokenizer.pad_token_id}
        self.truncated += sum(ids[-1] not in ended for ids in outputs)
        return self._tokenizer.batch_decode(outputs, skip_special_tokens=True)

    def _code_token(self, language: str) -> int | None:
        """The id of a language's token; None if the model has none."""
        code = self._codes.get(language, language)
        named = getattr(self._tokenizer, "lang_code_to_token", {}).get(code, code)
        found = self._tokenizer.convert_tokens_to_ids(named)
        return None if found in (None, self._tokenizer.unk_token_id) else found

    def _prefix(self, language: str) -> str:
        """The target's code as written before a source sentence, in Marian's brackets if the tokenizer knows it so."""
        code = self._codes.get(language, "")
        bracketed = f">>{code or language}<<"
        return bracketed if bracketed in getattr(self._tokenizer, "supported_language_codes", ()) else code
