"""Adapters: what a stage's folder holds, how sequences go on, and that peft alone rebuilds the same network."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from closeness import ROUNDING, relative_difference
from helpers.study_results import plan
from safetensors.torch import load_file
from sample_rows import ENCODING, ORIGINALS, RECIPE, SENTENCES
from written_checkpoint import write_base, write_split

from crosstune.analysis.results import StudyResults
from crosstune.artifacts.adapter import is_adapter, whole_model
from crosstune.artifacts.checkpoint import CheckpointJob, has_weights, remove_weights
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.modeling.adapters import merge_adapter
from crosstune.modeling.batching import collate
from crosstune.modeling.folder import average_weights, load_network, save_network
from crosstune.modeling.tasks import load_task
from crosstune.reporting.cards.checkpoint_facts import CheckpointFacts
from crosstune.reporting.cards.model_card import model_card, repository
from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint
from crosstune.training.interruption import InterruptGuard, TrainingInterrupted
from crosstune.training.retrain import weights_of

LORA = {"rank": 2, "alpha": 8, "targets": ["query", "value"], "dropout": 0.1, "stages": "continue"}
# A stage that changes nothing.
NOTHING = {"sources": [], "source_heads": {}, "updates": 0}
HEADS = {"qa": [], "tagging.x": ["A", "B"]}
SOURCES = {"chaii.hi": ("qa", ORIGINALS), "names.en": ("tagging.x", SENTENCES)}


@pytest.fixture(scope="module")
def base(new_network, tokenizer_folder, tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("models") / "base", new_network(), tokenizer_folder)


@pytest.fixture
def stage(base, tmp_path):
    """The job of a stage with one source, after a parent job or the base model."""
    data = {source: write_split(tmp_path / "data", source, "train", rows) for source, (_, rows) in SOURCES.items()}

    def make(source: str, parent: CheckpointJob | None = None, folder: str = "seed1", **changes) -> CheckpointJob:
        home, before = (
            (parent.out, parent.spec["after"] + [parent.spec["sources"]]) if parent else (tmp_path / folder, [])
        )
        names = sorted({SOURCES[own][0] for own in sum(before, [source])})
        spec = {
            "seed": 1, "after": before, "sources": [source], "replayed": [], "replay": 0.0, "updates": 6,
            "epochs": None, "tokens": 60, "heads": [{"name": name, "labels": HEADS[name]} for name in names],
            "source_heads": {source: SOURCES[source][0]}, "recipe": RECIPE | {"optimizer": "reset"},
            "encoding": ENCODING, "precision": "fp32", "packing": True, "lora": LORA,
        } | changes  # fmt: skip
        return CheckpointJob(spec, home / source, (parent.out if parent else base,), (data[source],))

    return make


def train(job: CheckpointJob, install: bool = True, options: RuntimeOptions | None = None) -> CheckpointJob:
    torch.set_num_threads(1)
    with InterruptGuard() as guard:
        make_checkpoint(job, job.parents, options or RuntimeOptions(), guard)
    if install:
        job.install()
    return job


@pytest.fixture
def hidden(tokenizer):
    """Hidden states of a network on some windows: (tokens, width)."""
    windows = load_task("qa").encode(ORIGINALS, tokenizer, ENCODING)

    def compute(network) -> torch.Tensor:
        network.eval()
        with torch.no_grad():
            return network.hidden(collate([windows] * len(windows), range(len(windows))))

    return compute


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_holds_the_adapter_and_heads_alone(stage, base):
    job = train(stage("chaii.hi"))
    model = job.out / "model"
    assert sorted(path.name for path in model.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "config.json",
    ]  # fmt: skip
    saved = load_file(model / "adapter_model.safetensors")
    query = "base_model.model.bert.encoder.layer.0.attention.self.query"
    assert saved[f"{query}.lora_A.weight"].shape == (2, 16) and saved[f"{query}.lora_B.weight"].shape == (16, 2)
    assert sorted(name for name in saved if "lora" not in name) == [
        "base_model.model.qa_outputs.bias", "base_model.model.qa_outputs.weight",
    ]  # fmt: skip
    manifest = read_json(job.out / "stage.json")
    assert manifest["parents"] == [read_json(base / "stage.json")["weights"]]
    assert manifest["adapter"]["parameters"] == 4 * 2 * 16 + 2 * 16 + 2
    assert has_weights(job.out) and whole_model(model) == base / "model"


def test_the_rest_of_the_model_stays(stage, base, hidden):
    network = load_network(train(stage("chaii.hi")).out / "model")
    whole = load_network(base / "model")
    assert relative_difference([hidden(network)], [hidden(whole)]) > 1e-3, "it has learned something"
    frozen = {name.replace(".base_layer", ""): weight for name, weight in network.encoder.named_parameters()}
    assert all(torch.equal(frozen[name], weight) for name, weight in whole.encoder.named_parameters())


def test_merged_and_unmerged_networks_agree_to_rounding(stage, hidden):
    network = load_network(train(stage("chaii.hi")).out / "model")
    expected = hidden(network)
    merge_adapter(network)
    assert network.adapter is None and not any("lora" in name for name, _ in network.named_parameters())
    assert relative_difference([hidden(network)], [expected]) < ROUNDING


def test_packed_and_padded_networks_agree_to_rounding(stage, hidden):
    model = train(stage("chaii.hi")).out / "model"
    packed, padded = load_network(model), load_network(model, packing=False)
    assert packed.packed and not padded.packed
    assert relative_difference([hidden(packed)], [hidden(padded)]) < ROUNDING


def test_a_later_stage_continues_the_adapter(stage, hidden):
    first = train(stage("chaii.hi"))
    second = train(stage("names.en", first))
    one, two = (load_file(job.out / "model/adapter_model.safetensors") for job in (first, second))
    matrix = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"
    assert 0 < relative_difference([two[matrix]], [one[matrix]]) < 0.5
    network = load_network(second.out / "model")
    assert set(network.tasks) == {"qa", "tagging.x"} and not network.adapter.base.merged
    still = train(replace(stage("names.en", first, **NOTHING), data=(), out=first.out / "still"))
    assert torch.equal(hidden(load_network(still.out / "model")), hidden(load_network(first.out / "model")))


def test_a_later_stage_merges_the_adapter_and_begins_another(stage, hidden):
    """The folder of the last stage and the base model are enough, whatever becomes of the stages between."""
    merge = {"lora": LORA | {"stages": "merge"}}
    jobs = [train(stage("chaii.hi", **merge))]
    jobs.append(train(stage("names.en", jobs[-1], **merge)))
    jobs.append(train(stage("chaii.hi", jobs[-1], **merge)))
    last = jobs[-1].out / "model"
    drawn = [load_file(job.out / "model/adapter_model.safetensors") for job in jobs]
    matrix = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"
    assert relative_difference([drawn[1][matrix]], [drawn[0][matrix]]) > 0.5, "each stage draws its own"
    assert [path.name for path in sorted((last / "merged").iterdir())] == ["1", "2"]
    assert (last / "merged/1/adapter_model.safetensors").samefile(jobs[0].out / "model/adapter_model.safetensors")
    expected = hidden(load_network(last))
    for job in jobs[:-1]:
        remove_weights(job.out)
    assert torch.equal(hidden(load_network(last)), expected)


def test_a_new_adapter_begins_with_what_the_merged_one_computes(stage, hidden):
    merge = {"lora": LORA | {"stages": "merge"}}
    first = train(stage("chaii.hi", **merge))
    still = train(replace(stage("names.en", first, **NOTHING, **merge), data=()))
    found, expected = (hidden(load_network(job.out / "model")) for job in (still, first))
    assert relative_difference([found], [expected]) < ROUNDING


def test_the_same_stage_gives_the_same_bytes_interrupted_or_not(stage):
    whole = train(stage("chaii.hi"), install=False)

    class Stop(InterruptGuard):
        requested = property(lambda self: True, lambda self, value: None)

    parts = stage("chaii.hi", folder="parts")
    for _ in range(5):
        with pytest.raises(TrainingInterrupted):
            make_checkpoint(parts, parts.parents, RuntimeOptions(), Stop())
        state = load_file(parts.resume_dir / "state.safetensors")
        assert not any("word_embeddings" in name or "base_layer" in name for name in state), "frozen weights"
    train(parts, install=False)
    found, expected = (files(job.staging_dir) for job in (parts, whole))
    assert {name: found[name] for name in found if name != "cost.json"} == {
        name: expected[name] for name in expected if name != "cost.json"
    }


def test_removed_adapters_are_retrained_to_the_same_bytes(stage, tmp_path):
    merge = {"lora": LORA | {"stages": "merge"}}
    first = train(stage("chaii.hi", **merge))
    second = train(stage("names.en", first, **merge))
    before = files(second.out / "model")
    for job in (first, second):
        remove_weights(job.out)
    with InterruptGuard() as stop:
        scratch = tmp_path / "job/.staging/retrained"
        with weights_of([second.out], [first, second], scratch, RuntimeOptions(), stop, None) as (folder,):
            assert files(folder / "model") == before


@pytest.mark.parametrize("stages", ["continue", "merge"])
def test_an_average_is_that_of_the_merged_weights(stage, hidden, tmp_path, tokenizer_folder, stages):
    lora = {"lora": LORA | {"stages": stages}}
    members = []
    for number, folder in enumerate(("a", "b")):
        first = train(stage("chaii.hi", folder=folder, seed=number, **lora))
        members.append(train(stage("names.en", first, seed=number, **lora)))
    job = CheckpointJob({"average": ["a", "b"]}, tmp_path / "average", tuple(member.out for member in members))
    train(job)
    merged = []
    for member in members:
        network = load_network(member.out / "model")
        merge_adapter(network)
        merged.append(tmp_path / member.out.parent.parent.name / "whole")
        save_network(network, merged[-1], tokenizer_folder, "tagging.x")
    shutil.copytree(merged[0], tmp_path / "mean")
    from safetensors.torch import save_file

    save_file(average_weights(merged), tmp_path / "mean/model.safetensors")
    found, expected = (load_network(folder) for folder in (job.out / "model", tmp_path / "mean"))
    assert is_adapter(job.out / "model") and not (job.out / "model/merged").exists()
    assert relative_difference([hidden(found)], [hidden(expected)]) < ROUNDING
    assert relative_difference(found.head("qa").parameters(), expected.head("qa").parameters()) < ROUNDING


def test_peft_alone_predicts_the_same(stage, tokenizer):
    """As docs/adapters.md says: transformers loads the base model, peft the stage's folder."""
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoModelForTokenClassification

    merge = {"lora": LORA | {"stages": "merge"}}
    first = train(stage("names.en", **merge))
    second = train(stage("chaii.hi", first, **merge))
    third = train(stage("chaii.hi", second, **merge))
    words = tokenizer.tokenize(["the cat sat on the mat"])[0]
    ids = torch.tensor(words.ids)[None]
    classes = {"tagging.x": (first, AutoModelForTokenClassification), "qa": (third, AutoModelForQuestionAnswering)}
    for head, (job, auto) in classes.items():
        folder = job.out / "model"
        base = read_json(folder / "adapter_config.json")["base_model_name_or_path"]
        model = auto.from_pretrained(base, config=AutoConfig.from_pretrained(folder))
        for merged in sorted(folder.glob("merged/*"), key=lambda path: int(path.name)):
            model = PeftModel.from_pretrained(model, merged).merge_and_unload()
        model = PeftModel.from_pretrained(model, folder).eval()
        network = load_network(folder, packing=False).eval()
        with torch.no_grad():
            output = model(input_ids=ids)
            states = network.encoder(input_ids=ids).last_hidden_state
            expected = network.bound_head(head)(states)
        found = torch.stack([output.start_logits, output.end_logits], -1) if head == "qa" else output.logits
        assert relative_difference([found], [expected]) < ROUNDING


@pytest.mark.parametrize("kind", ["continue", "merge"])
def test_the_code_of_a_model_card_loads_the_adapters(stage, base, tokenizer, kind):
    changes = {"lora": LORA | {"stages": kind}}
    job = train(stage("chaii.hi", train(stage("names.en", **changes)), **changes))
    hub = {"hub": "somebody/base", "revision": "a" * 40}
    whole = plan() | {"cited": [], "model_cards": {"owner": "me", "models": {"tiny": hub | {"licence": "mit"}}}}
    run = whole["runs"][0] | {"stages": [job.out.name], "mixtures": [["chaii.hi"]]}
    facts = CheckpointFacts(StudyResults(whole, {}, {}), job.out.parent, base, job.out.name, ((run, 0),))
    card = model_card(facts)
    assert (card.data.library_name, card.data.base_model) == ("peft", "somebody/base") and "lora" in card.data.tags
    assert card.data.base_model_relation == "adapter" and "Its base model has the licence `mit`." in card.text
    code = re.search(r"```python\n(.*?)```", card.text, re.DOTALL)[1]
    assert code.count("merge_and_unload") == (kind == "merge")
    for there, here in (("somebody/base", base / "model"), (repository(facts), job.out / "model")):
        code = code.replace(f'"{there}"', f'"{here}"')
    names: dict = {}
    exec(code, names)
    ids = torch.tensor(tokenizer.tokenize(["the cat sat on the mat"])[0].ids)[None]
    network = load_network(job.out / "model", packing=False).eval()
    with torch.no_grad():
        output = names["model"](input_ids=ids)
        expected = network.bound_head("qa")(network.encoder(input_ids=ids).last_hidden_state)
    assert relative_difference([torch.stack([output.start_logits, output.end_logits], -1)], [expected]) < ROUNDING


def test_the_card_of_an_adapter_without_a_base_on_the_hub_says_what_to_put_in(stage, base):
    job = train(stage("chaii.hi"))
    whole = plan() | {"cited": [], "model_cards": {"models": {}}}
    run = whole["runs"][0] | {"stages": [job.out.name], "mixtures": [["chaii.hi"]]}
    facts = CheckpointFacts(StudyResults(whole, {}, {}), job.out.parent, base, job.out.name, ((run, 0),))
    text = str(model_card(facts))
    assert 'base, revision = "BASE-MODEL", None' in text and "put its folder in place of BASE-MODEL" in text
    assert "base_model" not in text.split("---")[1]


def test_a_base_model_that_is_missing_or_another_one_is_told(stage, base, tmp_path):
    own = tmp_path / "base"
    shutil.copytree(base, own)
    job = train(replace(stage("chaii.hi"), parents=(own,)))
    write_json(own / "stage.json", read_json(own / "stage.json") | {"weights": "other"})
    with pytest.raises(UserError, match="has other weights now"):
        load_network(job.out / "model")
    shutil.rmtree(own)
    with pytest.raises(UserError, match="the base model of this adapter is missing"):
        load_network(job.out / "model")


def test_a_base_model_is_found_from_another_folder(stage, base, tmp_path, monkeypatch):
    shutil.copytree(base, tmp_path / "models/own")
    monkeypatch.chdir(tmp_path)
    job = train(replace(stage("chaii.hi"), parents=(Path("models/own"),)))
    monkeypatch.chdir("/")
    assert whole_model(job.out / "model") == tmp_path / "models/own/model"


def test_a_target_that_the_encoder_lacks_is_one_message(stage):
    with pytest.raises(UserError, match="no linear layer 'q_proj'; its layers are dense, key, query, value"):
        train(stage("chaii.hi", lora=LORA | {"targets": ["q_proj"]}))


def test_without_a_class_for_the_head_peft_adds_the_adapter_to_the_encoder(stage, hidden):
    from peft import PeftModel
    from transformers import AutoModel

    first = train(stage("chaii.hi"))
    folder = train(replace(stage("names.en", first, **NOTHING, heads=[]), data=())).out / "model"
    network = load_network(folder)
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(whole_model(folder)), folder)
    found = model.get_base_model().state_dict()
    lora = {name: weight for name, weight in network.encoder.state_dict().items() if "lora" in name}
    assert lora and all(torch.equal(found[name], weight) for name, weight in lora.items())
