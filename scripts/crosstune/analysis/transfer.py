"""Transfer and forgetting of one run that trains in several stages, from its scores after every stage.

Owns: the formulas (docs/transfer.md has them with their sources). Must never know: files, schedules, means over runs.

R[i][l] is the score of language l after stage i, from 0. A *stream* names the language that each stage trains on, each
once; None is a stage whose language has no scores, over which no sum runs. Every function gives numbers of the scale of
the scores, None where no term of its sum exists, and raises KeyError for a score that should exist and does not.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

Scores = Mapping[str, float]

Matrix = Sequence[Scores]

Stream = Sequence[str | None]


def forgetting(matrix: Matrix, stream: Stream, since_trained: bool = False) -> float | None:
    """What earlier languages lost against their best score before, by the mean over stages i >= 1 and then over j < i.

    One term is max over k < i of R[k][j], less R[i][j] (Chaudhry et al. 2018, averaged over all stages as in M'hamdi et
    al. 2023). With `since_trained` only k >= j count: a score that a language had before its own stage is then nothing
    to forget. Negative where later stages help.
    """

    def lost(i: int, j: int, language: str) -> float:
        before = range(j if since_trained else 0, i)
        return max(matrix[k][language] for k in before) - matrix[i][language]

    return _over_pairs(stream, lost)


def backward_transfer(matrix: Matrix, stream: Stream) -> float | None:
    """What later stages changed: the mean over i >= 1 and then over j < i of R[i][j] - R[j][j]."""
    return _over_pairs(stream, lambda i, j, language: matrix[i][language] - matrix[j][language])


def zero_shot(matrix: Matrix, stream: Stream, untrained: Scores) -> float | None:
    """What a language has before its own stage: the mean over j >= 1 and then over i < j of R[i][j] - untrained[j]."""
    terms = [
        fmean(matrix[i][language] for i in range(j)) - untrained[language]
        for j, language in enumerate(stream)
        if j and language is not None
    ]
    return fmean(terms) if terms else None


def transfer(matrix: Matrix, stream: Stream, mono: Scores) -> float | None:
    """What the stages before give a language at its own: the mean over j >= 1 of R[j][j] - mono[j].

    `mono`: the score of each language where the model is trained on it alone.
    """
    terms = [matrix[j][language] - mono[language] for j, language in enumerate(stream) if j and language is not None]
    return fmean(terms) if terms else None


def final_performance(matrix: Matrix, languages: Sequence[str]) -> float | None:
    """The mean over `languages` after the last stage."""
    return mean_over(matrix[-1], languages)


def stream_average(matrix: Matrix, languages: Sequence[str]) -> float | None:
    """The mean over all stages and `languages`."""
    return fmean(mean_over(scores, languages) for scores in matrix) if languages else None


def retention(matrix: Matrix, first: Sequence[str]) -> float | None:
    """What the languages of the first stage have gained since, negative as a rule: the mean of R[last] - R[0]."""
    return mean_over(matrix[-1], first) - mean_over(matrix[0], first) if first else None


def transfer_gap(scores: Scores, sources: Sequence[str], others: Sequence[str]) -> float | None:
    """How far the languages that were not trained on stay behind: mean over `sources` less mean over `others`."""
    return mean_over(scores, sources) - mean_over(scores, others) if sources and others else None


def mean_over(scores: Scores, languages: Sequence[str]) -> float | None:
    return fmean(scores[language] for language in languages) if languages else None


def _over_pairs(stream: Stream, term: Callable[[int, int, str], float]) -> float | None:
    """The mean over stages i >= 1 of the mean of `term(i, j, language)` over the languages of the stages j < i."""
    by_stage = [
        [term(i, j, language) for j, language in enumerate(stream[:i]) if language is not None]
        for i in range(1, len(stream))
    ]
    means = [fmean(terms) for terms in by_stage if terms]
    return fmean(means) if means else None
