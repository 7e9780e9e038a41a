# The study, and what rules ask of it. Everything that thinks is in scripts/crosstune, where it is tested.
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod, Quietness

# Paths of jobs, registry and results are relative to this folder.
if not Path.cwd().samefile(workflow.basedir):
    sys.exit(f"error: crosstune runs in its own folder, not in {Path.cwd()}\n  cd {shlex.quote(str(workflow.basedir))}")

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from crosstune.artifacts.checkpoint import remove_staged
from crosstune.artifacts.correction_record import RECORD, read_record
from crosstune.core.dry_run import DryRunFilter
from crosstune.core.errors import UserError, show
from crosstune.core.files import canonical_json, paths_regex, sha256_json
from crosstune.core.schema import read_yaml
from crosstune.core.yaml_lines import lines_named
from crosstune.data.synthetic.write import SYNTHETIC_VERSION
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.machine.container import check_image, gpu_environment
from crosstune.machine.job_usage import remove_unread_files
from crosstune.machine.slurm import check_names
from crosstune.operations.changed_files import (
    check_finished_files,
    forget_files,
    remember_files,
    remove_leftovers,
    reset_future_times,
)
from crosstune.study import specs, targets
from crosstune.study.adapters import check_installed
from crosstune.study.build import build_study
from crosstune.study.checks import check_resume_states, longest_sequence, shown_examples
from crosstune.study.comparisons import CONTRASTS_VERSION
from crosstune.study.content_keys import ContentKeys
from crosstune.study.current import CurrentResults
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.disk_space import WeightsOnDisk, free_space
from crosstune.study.distances import distances_file, distances_spec
from crosstune.study.inspection import check_commands, check_no_consent
from crosstune.study.local_models import check_folders, model_notices
from crosstune.study.plan import is_of_another_plan, plan_of
from crosstune.study.resources import LIGHT, JobResources
from crosstune.study.retention import RetentionPolicy
from crosstune.study.summary import summary
from crosstune.study.trackers import check_trackers, tracker_environment

# These targets need no data: estimate_cost is for a study whose data are elsewhere or still to come, pin for one that
# nobody has pinned yet, the others inspect or move the results.
PLANNING = "estimate_cost" in sys.argv
CARE = {"pin", "list_stale", "status", "export_results", "import_results", "corrections"}
WITHOUT_DATA = PLANNING or bool(CARE & set(sys.argv))
# These targets train and predict nothing.
CLEANS = any(word.startswith("clean_") for word in sys.argv)
KEEPS_RESULTS = WITHOUT_DATA or CLEANS or any(word.startswith(("prepare_all", "downloads")) for word in sys.argv)
# Other targets leave what is remembered of finished files as it is, whether these were changed or not. An import
# replaces no file by another content.
MAKES_FILES = not (WITHOUT_DATA or CLEANS)

# A cluster sends SIGUSR1 when a job's time is nearly over. The training saves its state then; Snakemake would die of the
# signal at once, and the training with it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def is_short():
    """Whether this is a dry run that is to list no jobs: profiles/default says `quiet: reason`, options may not."""
    output = workflow.output_settings
    return workflow.dryrun and Quietness.REASON in (output.quiet or ()) and not output.printshellcmds


logger.addFilter(DryRunFilter(is_short))


def refuse(error):
    """End Snakemake with the message of a user's mistake alone: a WorkflowError would be shown with lines of this file."""
    sys.exit(f"error: {error}")


# Snakemake has read the files already, but has lost doubled keys, the difference between `no` and false, and what the
# command line says and what a file.
try:
    for file in workflow.configfiles or ["config.yaml"]:
        check_no_consent(read_yaml(file), str(file))
except UserError as error:
    refuse(error)

# A study from --configfile replaces the default study; Snakemake would merge the two.
if not workflow.configfiles:

    configfile: "config.yaml"


try:
    with lines_named(*(workflow.configfiles or ["config.yaml"]), others=workflow.config_settings.config):
        study = build_study(config, workflow.basedir)
    requirements = DataRequirements(study)
    content_keys = ContentKeys(requirements)
    current = CurrentResults(study, content_keys)
    retention = RetentionPolicy(study)
    job_resources = JobResources(study, retention)
    check_resume_states(study)
    plan_digest = sha256_json(plan_of(study))
    made_in = [Path("data"), Path(study.results)]
    if not WITHOUT_DATA:
        requirements.check_files()
        check_folders(study)
        read_record(Path(targets.kept_folder(study)), Path(workflow.basedir))
    if workflow.is_main_process and MAKES_FILES:
        check_finished_files(made_in)
        if not workflow.dryrun and (notice := reset_future_times(made_in)):
            show(notice, file=sys.stderr)
        # Other jobs run in environments made from the locks, which have peft.
        if not workflow.deployment_settings.deployment_method:
            check_installed(study)
            check_trackers(study)
    requirements.check_translators()
except UserError as error:
    refuse(error)

if workflow.is_main_process and PLANNING:
    # Here and not in a job: a dry run, which needs no cores and runs nothing, prints it too.
    from crosstune.machine.devices import load_devices
    from crosstune.study.cost_estimate import CostEstimate
    from crosstune.study.cost_report import cost_report

    try:
        estimate = CostEstimate(study, job_resources, load_devices(Path(workflow.basedir, "registry")))
        show(cost_report(estimate, requirements, retention), "")
    except UserError as error:
        refuse(error)
elif workflow.is_main_process:
    advice = WeightsOnDisk(study, retention).advice(free_space(Path(study.results)))
    notices = [*summary(study, retention), *advice, *model_notices(study), *requirements.pending_notices()]
    show(*notices, *([] if WITHOUT_DATA else current.replaced()), file=sys.stderr)

# Copied results come without Snakemake's memory of params, and --rerun-triggers may leave params out. Tables must not
# be those of another plan even then: it is given an input that is newer.
outdated_plan = workflow.is_main_process and MAKES_FILES and is_of_another_plan(study.results, plan_digest)
if outdated_plan:
    with suppress(OSError):
        os.utime(Path(study.results, "plan.json"), (1, 1))

# The image of jobs with `--sdm apptainer`: a file, which `make image` writes, or an address that Apptainer pulls from.
# Every job's machine reads this file too; the environment there makes its GPUs visible inside the image.
IMAGE = "containers/crosstune.sif"
os.environ.update(gpu_environment(os.environ))
# Trainings read it, also those on other machines, where this file is read again. It is no argument of their command:
# another command would train every finished stage again.
os.environ.update(tracker_environment(study))

# Jobs in the warm server end with this process, even if it is killed.
os.environ.update(CROSSTUNE_SNAKEMAKE_PID=str(os.getpid()))


container: IMAGE


wildcard_constraints:
    study=r"[^/]+",
    model=r"[^/]+",
    dataset=r"[^/]+",
    split=r"train|validation|test",
    lang=r"[^/.]+",
    figure=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    pair=r"[^/.]+",
    kind=r"hub|url",
    origin=r"[^/]+",
    request=r"[^/]+-[0-9a-f]{8}",
    # A commit, or a branch that is still to be pinned; of a copied model the folder's hash.
    revision=r"(?![0-9a-f]{16}/)[^/@]+",
    sha256=r"[0-9a-f]{16}",
    # A stage's folder says mixture@budget; its path is the lineage. The untrained head is a lineage without stages.
    stage=r"results/[^/]+/[^/]+/seed\d+/[^/]+/(.+@[^/]+|untrained)",
    average=r"results/[^/]+/[^/]+/seed\d+/[^/]+/average\.[^/]+",
    checkpoint=r"results/[^/]+/[^/]+/seed\d+/[^/]+/.+",


# On a cluster these rules run where Snakemake runs: those that take less than a job costs, and those that need the
# network, which nodes often lack. Jobs compute: translate, leakage, check, pretrain, train, average, predict, contrasts.
localrules:
    all,
    prepare_all,
    downloads,
    clean_results,
    clean_reports,
    clean_data,
    clean_downloads,
    pin,
    remove_weights,
    fetch,
    fetch_model,
    copy_model,
    synthetic,
    prepare,
    install_predictions,
    score,
    choose,
    baselines,
    plan_file,
    estimate_cost,
    provenance,
    crate,
    export_results,
    import_results,
    corrections,
    list_stale,
    status,
    distances,
    tables,
    figures,
    figure,
    report,
    submission,
    examples,
    model_cards,


# Not in a dry run, which needs neither network nor image.
onstart:
    try:
        if not WITHOUT_DATA:
            requirements.check_pins()
            check_commands(study, requirements)
            requirements.check_downloads()
        if not (KEEPS_RESULTS or study.config["replace"]):
            current.check_replaced()
        if workflow.executor_plugin.name == "slurm":
            check_names(
                f"{path}_{name}" for path, node in study.checkpoints.items() for name in ["", *node.evaluate]
            )
        if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
            check_image(IMAGE)
    except UserError as error:
        refuse(error)
    if MAKES_FILES:
        forget_files(made_in)


def remember_finished_files():
    """Remember what the study has made, with the outputs of each of its jobs."""
    remember_files(made_in, [list(map(str, job.output)) for job in workflow.dag.jobs])


onsuccess:
    for path in study.checkpoints:
        remove_staged(Path(path))
    # Other targets may look on while a run is writing its logs.
    if MAKES_FILES:
        remove_unread_files([Path("logs"), Path(study.results)])
        remove_leftovers(made_in)
        remember_finished_files()


onerror:
    if MAKES_FILES:
        remember_finished_files()


def final_targets():
    """The results of a study: its tables, figures and page; and no weights that it does not keep."""
    results = [f"{study.results}/{name}" for name in ("tables", "figures", "report.html")]
    results += [f"{study.results}/model_cards.json"] if "model_cards" in study.config else []
    results += [f"{study.results}/paper/{figure['name']}.svg" for figure in study.figures]
    return results + bucket_results() + [f"{path}/weights.removed" for path in retention.removable]


def resources_for(amount):
    """Memory, time and GPUs, of an amount or of a function of wildcards; Snakemake leaves out a resource that is None.

    Resources, because a changed request must not rerun a job.
    """
    find = amount if callable(amount) else lambda w: amount
    names = ("mem_mb", "runtime", "gpu", "tasks")
    return {name: lambda w, attempt, name=name: find(w).as_snakemake(attempt).get(name) for name in names}


def resources_of_translation(*pair):
    """Resources of the job that translates a data set's split for a pair of languages."""
    return job_resources.translate(requirements.translated_rows(*pair), bool(requirements.translator_model(*pair)))


def spec_of_translation(*pair):
    """The spec of the translation of a data set's split for a pair of languages."""
    job = requirements.translation(*pair)
    return requirements.translate_spec(job.translator, job.source, job.target)


def jobs_to_retrain(*paths):
    """Checkpoints to retrain in a job that needs the weights of `paths`: those whose weights were removed."""
    return canonical_json(retention.retrain_jobs(paths))


def predictions_after(path):
    """Predictions that the training of a checkpoint adds."""
    return canonical_json(specs.predictions_after_training(study, path))


def contrast_results():
    """The results of the study's contrasts, if it declares any."""
    return [f"{study.results}/contrasts.json"] if study.contrasts else []


def bucket_results():
    """The study's comparisons by bucket of examples, if it declares any."""
    return [f"{study.results}/buckets"] if study.buckets else []


def encodings_checked():
    """What the rule check has found, if it has run."""
    return [path for path in [f"{study.results}/encoding.json"] if os.path.exists(path)]


def correction_record():
    """The correction record of the study's kept results, if it has one, and the results that the page compares."""
    record = f"{targets.kept_folder(study)}/{RECORD}"
    return [record, f"{study.results}/tables", f"{study.results}/figures"] if os.path.exists(record) else []


def distances_of_study(wildcards):
    """Distances between the languages, if the study asks for them."""
    return [f"results/{wildcards.study}/distances.json"] if distances_file(study) else []


def checkpoint_at(path):
    """The checkpoint at a path; a path of no schedule is a mistake in the target's name."""
    if path not in study.checkpoints:
        known = "\n  ".join(sorted(study.checkpoints)[:20])
        raise WorkflowError(f"{path} is no stage of the study {study.name!r}. Stages are, for example:\n  {known}")
    return study.checkpoints[path]


def sweep_at(path):
    """The sweep whose choice is for the checkpoint at a path."""
    choice = f"{path}/choice.json"
    if choice not in study.sweeps:
        known = "\n  ".join(list(study.sweeps)[:20]) or "none"
        raise WorkflowError(f"the study {study.name!r} makes no choice {choice}. Choices are:\n  {known}")
    return study.sweeps[choice]


def train_flags(path):
    """Flags of train.py: whether the optimizer's state is kept and, with a sweep, the choice and its candidates."""
    node = checkpoint_at(path)
    kept = "--keep-optimizer" if node.keep_optimizer else ""
    if not node.choice:
        return kept
    candidates = ["--candidates", *node.candidates] if node.candidates else []
    return [*filter(None, [kept]), "--choice", node.choice, *candidates]


def figure_named(name):
    """The name of a figure of the study; another one is a mistake in the target's name."""
    known = [figure["name"] for figure in study.figures]
    if name not in known:
        raise WorkflowError(f"the study {study.name!r} has no figure {name!r}. Figures: {', '.join(known) or 'none'}")
    return name


def base_of(wildcards):
    """The path of the base model that a pretraining makes."""
    return f"results/{wildcards.study}/{wildcards.model}/base"


def longest_sequence_of(model):
    """The tokens of the longest sequence that a base model reads; 0 for a translation model."""
    return max(longest_sequence(study, track) for track in study.tracks.values()) if model in study.checkpoints else 0


def local_model(name, sha256):
    """The model of the study in a folder whose copy has a name and the first digits of a hash."""
    model = study.config["models"].get(name, {})
    if not model.get("sha256", "").startswith(sha256):
        raise WorkflowError(f"the study {study.name!r} has no model {name}@{sha256} in a folder")
    return model


def download_at(manifest):
    """The download of the study with a manifest."""
    if manifest not in requirements.downloads:
        raise WorkflowError(f"the study {study.name!r} needs no download {manifest}")
    return requirements.downloads[manifest]


def parent_manifests(wildcards):
    return [f"{parent}/stage.json" for parent in checkpoint_at(wildcards[0]).parents]


def stage_spec(wildcards):
    return canonical_json(checkpoint_at(wildcards[0]).spec)


def test_data(wildcards):
    evaluated = checkpoint_at(wildcards.checkpoint).evaluate
    if wildcards.dataset not in evaluated:
        known = ", ".join(evaluated) or "nothing"
        raise WorkflowError(f"{wildcards.checkpoint} is not evaluated on {wildcards.dataset}. It is on: {known}")
    return targets.test_manifests(study, wildcards.checkpoint, wildcards.dataset)


def inputs_of(paths, is_current):
    """Inputs of a job. One whose result is current is not rerun if they are remade or purged: their content is equal."""
    return [ancient(path) for path in paths if Path(path).exists()] if is_current else list(paths)


def checkpoint_inputs(path, inputs):
    """Inputs of the job that makes a checkpoint."""
    return inputs_of(inputs, current.checkpoint(path))


def prediction_inputs(wildcards, inputs):
    """Inputs of the job that predicts a data set with a checkpoint."""
    return inputs_of(inputs, current.predictions(wildcards.checkpoint, wildcards.dataset))


def rows_to_translate(wildcards):
    """The manifest of the rows of a translation."""
    pair = (wildcards.dataset, wildcards.split, wildcards.pair)
    rows, spec = requirements.translated_rows(*pair), spec_of_translation(*pair)
    translated = f"data/translated/{wildcards.dataset}/{wildcards.split}.{wildcards.pair}.json"
    return inputs_of([rows], current.translation(rows, spec, translated))


def as_folders(manifests):
    """Checkpoint folders, as train.py takes them, of stage manifests."""
    return [str(Path(manifest).parent) for manifest in manifests]
