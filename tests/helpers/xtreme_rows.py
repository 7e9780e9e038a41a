"""Rows of prediction files for the ten tasks of XTREME-R, partly right in each."""

# (id, prediction, gold)
ROWS = {
    "xnli": [("1", "neutral", "neutral"), ("2", "entailment", "neutral")],
    "xcopa": [("1", 0, 0), ("2", 1, 0)],
    "udpos": [("1", ["X", "NOUN"], ["X", "VERB"]), ("2", ["ADJ"], ["ADJ"])],
    "panx": [("1", ["B-PER", "O"], ["B-PER", "O"]), ("2", ["B-LOC"], ["B-PER"])],
    "xquad": [("1", "ताज\u2028महल\n", ["ताज", "घर"]), ("2", "", ["घर"])],
    "mlqa": [("1", "的北京", ["北京", "大北京"]), ("2", "", ["上海"])],
    "tydiqa": [('"1"', "మా ఇల్లు", ["ఇల్లు"]), ("2", "", ["ఊరు"])],
    "tatoeba": [("ta:1", "ta:1", "ta:1"), ("ta:2", "ta:1", "ta:2"), ("ta:9", "ta:2", "ta:9")],
    "mewslix": [("m1", ["Q2", "Q1"], ["Q1"]), ("m2", [], ["Q2"])],
    "lareqa": [("q1", ["a", "x", "b"], ["a", "b"]), ("q2", ["x"], ["a", "c"])],
}


def rows_of(task: str) -> list[dict]:
    english = ["zebra", " apple", "mouse"]
    return [
        {"id": name, "prediction": prediction, "gold": gold, "english": english[number]}
        for number, (name, prediction, gold) in enumerate(ROWS[task])
    ]
