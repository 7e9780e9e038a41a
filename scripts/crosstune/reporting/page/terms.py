"""The statistical terms of the page, each with its definition; docs/glossary.md has the same terms."""

TERMS = {
    "95% CI": "95% confidence interval: procedures like this one cover the true mean difference in 95% of studies.",
    "fixed languages, seeds random": "Inference about other seeds, for exactly these languages and test items.",
    "fixed languages, seeds and items random": "Inference about other seeds and other test items, for exactly these "
    "languages.",
    "item": "A test example: a question, a sentence, a pair.",
    "languages as random effect": "Inference about other languages too: language families count as a random sample.",
    "trivial baseline": "A score without training: the untrained model, or answers such as the most frequent label.",
    "smallest effect": "The smallest difference in points that matters, declared before the study ran.",
    "minimum detectable effect": "MDE: the true difference that studies of this design find significant in 80% of all "
    "cases (80% power).",
    "TOST p": "p-value of equivalence: the larger one of two one-sided t tests against ± the smallest effect.",
    "Holm": "Correction of p-values for the number of languages or buckets; errors anywhere occur in at most 5% of "
    "studies.",
    "better, worse": "The 95% CI of the difference excludes 0, and the schedules are not equivalent.",
    "equivalent": "The difference is significantly smaller than the smallest effect (TOST p at most 0.05).",
    "inconclusive": "The data allow several of better, worse and equivalent. It is no evidence of equality.",
    "not judged": "Neither schedule beats the trivial baselines, so there is nothing to compare.",
    "low-resource language": "A language that the study, or else the registry, marks as having little data.",
    "unseen language": "A language that no schedule of the track trains on.",
    "compute-matched": "Every schedule spends the same updates with the same token budget.",
    "rank": "1 for the highest mean. Its CI holds for all schedules at once (paired t tests, Bonferroni's correction).",
    "different data or model": "The study's data or model are not the paper's, so the claim is tested, not reproduced.",
}

"""Definitions by term, in the order in which the page needs them."""
