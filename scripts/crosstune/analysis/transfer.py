"""Transfer and forgetting of one run of several stages, from its scores after every stage.

docs/transfer.md has the formulas with their sources. R[i][l] is the score of language l after stage i, from 0. A stream
has the training language of each stage, all different; None is a stage whose language has no scores, which the sums
skip. Results are on the scale of the scores, None for an empty sum. A missing score raises KeyError.
"""

from collections.abc import Callable, Mapping, Sequence

from crosstune.analysis.terms import mean

Scores = Mapping[str, float]

Matrix = Sequence[Scores]

Stream = Sequence[str | None]


def forgetting(matrix: Matrix, stream: Stream, since_trained: bool = False) -> float | None:
    """The loss of earlier languages against their best previous score: the mean over stages i >= 1 of that over j < i.

    One term is max over k < i of R[k][j], minus R[i][j] (Chaudhry et al. 2018, averaged over all stages as in M'hamdi
    et al. 2023). `since_trained` restricts k to k >= j: scores of a language before its own stage do not count.
    Negative if later stages help.
    """

    def loss(i: int, j: int, language: str) -> float:
        before = range(j if since_trained else 0, i)
        return max(matrix[k][language] for k in before) - matrix[i][language]

    return _mean_over_stages(stream, loss)


def backward_transfer(matrix: Matrix, stream: Stream) -> float | None:
    """The effect of later stages: the mean over i >= 1 of that over j < i of R[i][j] - R[j][j]."""
    return _mean_over_stages(stream, lambda i, j, language: matrix[i][language] - matrix[j][language])


def zero_shot_transfer(matrix: Matrix, stream: Stream, untrained: Scores) -> float | None:
    """The gain before a language's own stage: the mean over j >= 1 of that over i < j of R[i][j] - untrained[j]."""
    terms = [
        mean(matrix[i][language] for i in range(j)) - untrained[language]
        for j, language in enumerate(stream)
        if j and language is not None
    ]
    return mean(terms) if terms else None


def transfer(matrix: Matrix, stream: Stream, mono: Scores) -> float | None:
    """The effect of earlier stages on a language at its own: the mean over j >= 1 of R[j][j] - mono[j].

    `mono`: the score of each language after monolingual training.
    """
    terms = [matrix[j][language] - mono[language] for j, language in enumerate(stream) if j and language is not None]
    return mean(terms) if terms else None


def final_performance(matrix: Matrix, languages: Sequence[str]) -> float | None:
    """The mean over `languages` after the last stage."""
    return average_score(matrix[-1], languages)


def stream_average(matrix: Matrix, languages: Sequence[str]) -> float | None:
    """The mean over all stages and `languages`."""
    return mean(average_score(scores, languages) for scores in matrix) if languages else None


def retention(matrix: Matrix, first: Sequence[str]) -> float | None:
    """The change of the first stage's languages, usually negative: the mean of R[last] - R[0]."""
    return average_score(matrix[-1], first) - average_score(matrix[0], first) if first else None


def transfer_gap(scores: Scores, sources: Sequence[str], others: Sequence[str]) -> float | None:
    """The gap between trained and other languages: the mean over `sources` minus the mean over `others`."""
    return average_score(scores, sources) - average_score(scores, others) if sources and others else None


def average_score(scores: Scores, languages: Sequence[str]) -> float | None:
    return mean(scores[language] for language in languages) if languages else None


def _mean_over_stages(stream: Stream, term: Callable[[int, int, str], float]) -> float | None:
    """The mean over stages i >= 1 of the mean of `term(i, j, language)` over the stages j < i."""
    by_stage = [
        [term(i, j, language) for j, language in enumerate(stream[:i]) if language is not None]
        for i in range(1, len(stream))
    ]
    means = [mean(terms) for terms in by_stage if terms]
    return mean(means) if means else None
