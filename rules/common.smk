# The study, and what rules ask of it. Everything that thinks is in scripts/crosstune, where it is tested.
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from crosstune.errors import UserError
from crosstune.files import canonical_json, sha256_json
from crosstune.needs import Needs
from crosstune.plan import plan_of
from crosstune.scoring import SCORE_VERSION
from crosstune.study import Study
from crosstune.summary import summary
from crosstune.world.write import WORLD_VERSION

PINNING = "pin" in sys.argv  # that rule is for a study that is not pinned yet

try:
    study = Study(config, workflow.basedir)
    needs = Needs(study)
    study.check_states()
    if not PINNING:
        needs.check_files()
    needs.check_translators()
except UserError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process:
    print("\n".join([*summary(study), *needs.to_come()]), file=sys.stderr)


wildcard_constraints:
    study=r"[^/]+",
    model=r"[^/]+",
    dataset=r"[^/]+",
    split=r"train|validation|test",
    lang=r"[^/.]+",
    pair=r"[^/.]+",
    kind=r"hub|url",
    origin=r"[^/]+",
    request=r"[^/]+-[0-9a-f]{8}",
    # A stage's folder says mixture@budget; its path is the lineage. The untrained head is a lineage without stages.
    stage=r"results/[^/]+/[^/]+/seed\d+/[^/]+/(.+@[^/]+|untrained)",
    average=r"results/[^/]+/[^/]+/seed\d+/[^/]+/average\.[^/]+",
    checkpoint=r"results/[^/]+/[^/]+/seed\d+/[^/]+/.+",


localrules:
    all,
    plan,
    pin,


# Not in a dry run, which needs no network.
onstart:
    if not PINNING:
        try:
            needs.check_pins()
            needs.check_downloads(os.environ)
        except UserError as error:
            raise WorkflowError(str(error))


def final_targets():
    """What a study is for: its tables, its figure, its page."""
    return [f"{study.results}/{name}" for name in ("tables", "figures", "report.html")]


def distances_of_study(wildcards):
    """Distances between the languages, where the study wants them."""
    return [f"results/{wildcards.study}/distances.json"] if needs.distances_file else []


def checkpoint_at(path):
    """The node of the schedule tree at a path; a path of no schedule is a mistake in the target's name."""
    if path not in study.checkpoints:
        known = "\n  ".join(sorted(study.checkpoints)[:20])
        raise WorkflowError(f"{path} is no stage of the study {study.name!r}. Stages are, for example:\n  {known}")
    return study.checkpoints[path]


def download_at(manifest):
    """What the study fetches for a manifest."""
    if manifest not in needs.downloads:
        raise WorkflowError(f"the study {study.name!r} needs no download {manifest}")
    return needs.downloads[manifest]


def parent_manifests(wildcards):
    return [f"{parent}/stage.json" for parent in checkpoint_at(wildcards[0]).parents]


def stage_data(wildcards):
    return checkpoint_at(wildcards[0]).data


def stage_spec(wildcards):
    return canonical_json(checkpoint_at(wildcards[0]).spec)


def test_data(wildcards):
    languages = checkpoint_at(wildcards.checkpoint).evaluate.get(wildcards.dataset, ())
    return [study.prepared(wildcards.dataset, "test", language) for language in languages]


def as_folders(manifests):
    """Checkpoint folders, as train.py takes them, of stage manifests."""
    return [str(Path(manifest).parent) for manifest in manifests]
