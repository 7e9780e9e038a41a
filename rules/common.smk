# The study, and what rules ask of it. Everything that thinks is in scripts/crosstune, where it is tested.
import os
import signal
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from crosstune.artifacts.checkpoint import forget_draft
from crosstune.machine.slurm import check_names
from crosstune.study.comparisons import CONTRASTS_VERSION
from crosstune.core.errors import UserError
from crosstune.core.files import any_of, canonical_json, sha256_json
from crosstune.study.retention import Kept
from crosstune.machine.container import check_image, gpu_environment
from crosstune.study.data_requirements import Needs
from crosstune.study.plan import plan_of
from crosstune.study.resources import Jobs, LIGHT
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.study.expand import Study
from crosstune.study.summary import summary
from crosstune.data.synthetic.write import WORLD_VERSION

# These rules need no data: one is for a study that is not pinned yet, one for a study whose data are elsewhere or still to
# come, the others look at what is there.
PLANNING = "plan" in sys.argv
WITHOUT_DATA = PLANNING or bool({"pin", "stale", "status"} & set(sys.argv))

# By SIGUSR1 a cluster tells that a job's time is nearly over. It is for the training, which saves its state and ends;
# Snakemake would die of it at once, and the training with it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def made_together():
    """Whether the whole study is made on this machine: on a cluster, and where single files are asked for, it is not."""
    asked_for = workflow.dag_settings
    return workflow.local_exec and asked_for is not None and not (asked_for.targets or asked_for.target_jobs)


try:
    study = Study(config, workflow.basedir, together=made_together)
    needs = Needs(study)
    kept = Kept(study)
    jobs = Jobs(study, kept)
    study.check_states()
    if not WITHOUT_DATA:
        needs.check_files()
    needs.check_translators()
except UserError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process and PLANNING:
    # Here and not in a job: a dry run, which needs no cores and runs nothing, prints it too.
    from crosstune.machine.devices import load_devices
    from crosstune.study.cost_estimate import Expected
    from crosstune.study.cost_report import plan_text

    try:
        expected = Expected(study, jobs, load_devices(Path(workflow.basedir, "registry")))
        print(plan_text(expected, needs, kept), end="\n\n", flush=True)
    except UserError as error:
        raise WorkflowError(str(error))
elif workflow.is_main_process:
    print("\n".join([*summary(study, kept), *needs.to_come()]), file=sys.stderr)

# What jobs run in with `--sdm apptainer`: a file, which `make image` writes, or an address that Apptainer can pull from.
# This is read on the machine of every job, too: there its GPUs are made visible inside.
IMAGE = "containers/crosstune.sif"
os.environ.update(gpu_environment(os.environ))


container: IMAGE


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


# On a cluster these run where Snakemake runs: what takes less than a job costs, and what needs the network, which
# nodes often lack. Jobs are made of what computes: translate, leakage, pretrain, train, average, predict, contrasts.
localrules:
    all,
    check,
    downloads,
    clean_results,
    clean_reports,
    clean_data,
    clean_downloads,
    pin,
    tidy,
    fetch,
    fetch_model,
    world,
    prepare,
    take_over,
    adopt,
    score,
    floor,
    expand,
    plan,
    provenance,
    crate,
    stale,
    status,
    distances,
    tables,
    figures,
    report,
    submission,


# Not in a dry run, which needs neither network nor image.
onstart:
    try:
        if not WITHOUT_DATA:
            needs.check_pins()
            needs.check_downloads(os.environ)
        if workflow.executor_plugin.name == "slurm":
            check_names(
                f"{path}_{name}" for path, node in study.checkpoints.items() for name in ["", *node.evaluate]
            )
        if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
            check_image(IMAGE)
    except UserError as error:
        raise WorkflowError(str(error))


onsuccess:
    for path in study.checkpoints:
        forget_draft(Path(path))


def final_targets():
    """What a study is for: its tables, its figure, its page; and no more weights than it wants to keep."""
    read = [f"{study.results}/{name}" for name in ("tables", "figures", "report.html")]
    return read + [f"{path}/tidied" for path in kept.removable]


def asked(amount):
    """Memory, time and GPUs, of an amount or of a function of wildcards; Snakemake leaves out what is None.

    Resources, because what a job asks for must not make it run again.
    """
    find = amount if callable(amount) else lambda w: amount
    names = ("mem_mb", "runtime", "gpu", "tasks")
    return {name: lambda w, attempt, name=name: find(w).asked(attempt).get(name) for name in names}


def translation_asked(*pair):
    """What the job of a data set's split and pair of languages asks for."""
    return jobs.translate(needs.translated_rows(*pair), bool(needs.translator_model(*pair)))


def again(*paths):
    """Checkpoints to train again in a job that needs the weights of `paths`: those that have none any more."""
    return canonical_json(kept.nodes_again(paths))


def worked_contrasts():
    """The results of the study's contrasts, where it declares any."""
    return [f"{study.results}/contrasts.json"] if study.contrasts else []


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
