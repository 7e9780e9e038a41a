"""A study of two seeds, two folds and two languages of unequal size, beside a published table."""

from crosstune.analysis.results import StudyResults
from crosstune.analysis.terms import with_terms

PUBLISHED = {
    "name": "table2", "title": "A paper, Table 2", "what": "Jaccard", "verified": True, "track": "qa",
    "dataset": "chaii", "labels": ["translations", "contrastive"],
    "columns": [["overall", "pooled"], ["macro", "all"], ["hi", "hi"]],
    "rows": [
        {"schedule": "plain", "labels": ["none", "no"], "published": {"overall": 50.0, "macro": 48.0, "hi": 57.0}},
        {"schedule": "more", "labels": ["all_four", "yes"], "published": {"overall": 52.0, "macro": 49.0, "hi": 57.0}},
    ],
    "differences": [["more", "plain"]], "from_evaluations": False,
}  # fmt: skip
# Jaccard by schedule, seed and fold, of Hindi (3 examples a fold) and of Tamil (1 example).
SCORES = {
    "plain": {(1, 1): (40, 20), (1, 2): (44, 20), (2, 1): (48, 24), (2, 2): (52, 24)},
    "more": {(1, 1): (50, 20), (1, 2): (54, 20), (2, 1): (50, 24), (2, 2): (54, 24)},
}


def numbers(jaccard: float, n: int) -> dict:
    """The scores of a language with `n` examples."""
    return {"jaccard": jaccard, "f1": jaccard, "exact_match": 0, "n": n}


def fold_study(scores: dict = SCORES, **changes) -> StudyResults:
    """The study with these scores, and changes of the published table's entry."""
    runs = [
        {"model": "tiny", "seed": seed, "fold": fold, "track": "qa", "schedule": schedule,
         "stages": [f"tiny/seed{seed}/qa/{schedule}-fold{fold}"], "evaluated": [["chaii"]],
         "mixtures": [["chaii.hi", "chaii.ta"]], "updates": [10]}
        for schedule in scores for seed in (1, 2) for fold in (1, 2)
    ]  # fmt: skip
    track = {
        "metrics": {"chaii": "chaii"}, "trained": ["hi", "ta"], "evaluate": {"chaii": ["hi", "ta"]},
        "folded": ["chaii"], "folds": [1, 2], "matched": True, "budget": {"updates": 10, "tokens": 10},
        "schedules": list(scores),
    }  # fmt: skip
    plan = {
        "study": "small", "seeds": [1, 2], "models": ["tiny"], "languages": {}, "tracks": {"qa": track}, "runs": runs,
        "primary": {"track": "qa", "dataset": "chaii", "metric": "jaccard"}, "published": [{**PUBLISHED, **changes}],
    }  # fmt: skip
    found = {}
    for schedule, by_run in scores.items():
        for (seed, fold), (hi, ta) in by_run.items():
            stage, dataset = f"tiny/seed{seed}/qa/{schedule}-fold{fold}", f"chaii-fold{fold}"
            languages = {"hi": numbers(hi, 3), "ta": numbers(ta, 1)}
            found[stage, dataset] = with_terms(f"{stage}/scores/{dataset}.json", languages, ("languages",))
    return StudyResults(plan, found, {})
