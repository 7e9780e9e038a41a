"""Models of the Hugging Face hub, at a pinned commit, as the folders that stages start from.

Owns: the download and its manifest. Must never know: what is trained from it.
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

from crosstune.errors import UserError
from crosstune.files import sha256_file, write_json
from crosstune.network import WEIGHTS

PATTERNS = ["*.json", "*.txt", "*.model", WEIGHTS, "pytorch_model.bin"]


def fetch_model(name: str, revision: str, out: Path) -> None:
    """Download an encoder and its tokenizer into `out`/model; `out`/stage.json is written last.

    Raises UserError where the repository cannot be reached, does not exist, or wants its terms accepted first.
    """
    page = f"https://huggingface.co/{name}"
    try:
        snapshot = Path(snapshot_download(name, revision=revision, allow_patterns=PATTERNS))
    except GatedRepoError:
        cure = f"Accept its terms at {page}, then: export HF_TOKEN=<your token>"
        raise UserError("the hub wants its terms accepted first", name, cure) from None
    except RepositoryNotFoundError:
        raise UserError("the hub has no such model", name, f"Look it up: {page}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        cure = "With a network, run this once:\n  snakemake --cores 1 --until fetch_model"
        raise UserError(f"the model cannot be downloaded ({type(error).__name__})", name, cure) from None
    model = out / "model"
    AutoTokenizer.from_pretrained(snapshot).save_pretrained(model)
    (model / "config.json").write_bytes((snapshot / "config.json").read_bytes())
    if (snapshot / WEIGHTS).exists():
        # The published file holds the masked-LM head too, which loading the bare encoder would lose.
        (model / WEIGHTS).write_bytes((snapshot / WEIGHTS).read_bytes())
    else:
        weights = AutoModel.from_pretrained(snapshot).state_dict()
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, model / WEIGHTS, {"format": "pt"})
    manifest = {"spec": {"hub": name, "revision": revision}, "weights": sha256_file(model / WEIGHTS)}
    write_json(out / "stage.json", {**manifest, "parents": [], "updates": 0, "exposure": {}, "lineage": {}})
