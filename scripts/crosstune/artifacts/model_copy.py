"""A base model from a folder of the user's, copied: `save_pretrained` writes into files in place."""

import shutil
from collections.abc import Callable
from pathlib import Path

from crosstune.artifacts.local_model import local_files, local_sha256
from crosstune.artifacts.model_folder import write_base_manifest, write_model
from crosstune.core.errors import UserError
from crosstune.core.files import make_empty_folder, sha256_file


def copy_model(folder: Path, sha256: str, out: Path, check: Callable[[Path], None]) -> None:
    """Write `out`/model from the model in a folder, then the manifest `out`/stage.json.

    `sha256`: the identity that the study has planned with. `check`, of the folder `out`/model, raises UserError for a
    model of no use. So does this function for files that are others by now, or that transformers cannot load.
    """
    names, copies = local_files(folder, str(folder)), out / "files"
    make_empty_folder(copies)
    try:
        for name in names:
            shutil.copyfile(folder / name, copies / name)
        hashes = {name: sha256_file(copies / name) for name in names}
        if local_sha256(hashes) != sha256:
            fix = "Run the same command again: the study then starts from what is there now."
            raise UserError("the files of the model have changed since the study was planned", str(folder), fix)
        weights = write_model(copies, names, out / "model")
        check(out / "model")
    except UserError as error:
        texts = [error.message, error.where, error.fix]
        for made in (copies, out / "model"):
            texts = [text.replace(str(made), str(folder)) for text in texts]
        raise UserError(*texts) from None
    finally:
        shutil.rmtree(copies, ignore_errors=True)
    write_base_manifest(out, {"folder_sha256": sha256}, weights, files=hashes)
