"""A small table in MultiCheckList's layout, with words of our own in English and Swahili, and names."""

import json

HEAD = ["Field", "en", "sw", "ha", "ha-placeholders", "ha", "ha-placeholders"]

# The second variant of a Hausa question holds for `blue` alone; nothing reads such limits in `intens` but for four
# languages, so that both variants are asked, the second with the answer to another question.
LINES = [
    ["Name", "A is COMP than B. Who is more / less COMP?"],
    ["Capability", "Vocabulary"],
    [
        "Context",
        "{first_name} is {adj[0]} than {first_name1}.",
        "{first_name} {adj[0]} {first_name1}.",
        "{first_name} {adj[0]} {first_name1}.",
    ],
    ["Question", "Who is less {adj[1]}?", "Nani si {adj[1]}?", "Wa {adj[1]}?"],
    ["Answer", "{first_name1}", "{first_name1}", "{first_name1}"],
    ["Question", "Who is {adj[0]}?", "Nani {adj[0]}?", "Wa {adj[0]}?"],
    ["Answer", "{first_name}", "{first_name}", "{first_name}"],
    ["adj", "louder, loud", "kelele sana, kelele", "amo, amo"],
    ["adj", "calmer, calm", "tulivu sana, tulivu", "shiru, shiru"],
    [],
    ["Name", "Intensifiers (very, super, extremely) and reducers (somewhat, kinda, etc)?"],
    ["Capability", "Vocabulary"],
    [
        "Context",
        "{first_name} is {very} {s}. {first_name1} is {somewhat} {s}.",
        "{first_name} {very} {s}. {first_name1} {somewhat} {s}.",
        "{first_name} {very} {s}. {first_name1} {somewhat} {s}.",
    ],
    [
        "Context",
        "{first_name1} is {somewhat} {s}. {first_name} is {very} {s}.",
        "{first_name1} {somewhat} {s}. {first_name} {very} {s}.",
        "{first_name1} {somewhat} {s}. {first_name} {very} {s}.",
    ],
    ["Question", "Who is most {s}?", "Nani {s} zaidi?", "Wa ya fi {s}?", "blue", "Wane ne ya fi {s}?", "busy"],
    ["Answer", "{first_name}", "{first_name}", "{first_name}"],
    ["Question", "Who is least {s}?", "Nani {s} kidogo?", "Wa ya kasa {s}?"],
    ["Answer", "{first_name1}", "{first_name1}", "{first_name1}"],
    ["state", "busy", "shughuli", "aiki"],
    ["state", "blue", "huzuni", "bakin ciki"],
    ["very", "very", "sana", "sosai"],
    ["very", "truly", "kweli", "gaske"],
    ["somewhat", "hardly", "kidogo", "kadan"],
    [],
    ["Name", "size, shape, age, color"],
    ["Capability", "Taxonomy"],
    [
        "Context",
        "There is {obj[0]} here. {obj[1]} is {p.v1} and {p.v2}.",
        "Kuna {obj[0]}. {obj[1]} ni {p.v1} na {p.v2}.",
        "Akwai {obj[0]}. {obj[1]} {p.v1} da {p.v2}.",
    ],
    ["Question", "What {p.p1} is {obj[1]}?", "{obj[1]} ni {p.p1} gani?", "Wane {p.p1} ne {obj[1]}?"],
    ["Answer", "{p.v1}", "{p.v1}", "{p.v1}"],
    ["Question", "What {p.p2} is {obj[1]}?", "{obj[1]} ni {p.p2} gani?", "Wane {p.p1} ne {obj[1]}?"],
    ["Answer", "{p.v2}", "{p.v2}", "{p.v2}"],
    ["obj", "a jug, the jug", "jagi, jagi", "tulu, tulun"],
    ["obj", "a mat, the mat", "mkeka, mkeka", "tabarma, tabarmar"],
    ["color", "red", "nyekundu", "ja"],
    ["color", "blue", "buluu", "shudi"],
    ["size", "huge", "kubwa", "babba"],
    ["age", "old", "zee", "tsoho"],
    ["shape", "flat", "bapa", "fadi"],
    ["material", "clay", "udongo", "laka"],
    ["property", "color", "rangi", "launi"],
    ["property", "size", "ukubwa", "girma"],
    ["property", "age", "umri", "shekaru"],
    ["property", "shape", "umbo", "siffa"],
    ["property", "material", "nyenzo", "kaya"],
    [],
    ["Name", "Profession vs nationality"],
    ["Capability", "Taxonomy"],
    [
        "Context",
        "{first_name} is {profession} and {nationality}.",
        "{first_name} ni {profession} na {nationality}.",
        "{first_name} {profession} ne, {nationality}.",
    ],
    ["Question", "What is {first_name}'s job?", "Kazi ya {first_name} ni nini?", "Menene aikin {first_name}?"],
    ["Answer", "{profession}", "{profession}", "{profession}"],
    ["Question", "Where is {first_name} from?", "{first_name} anatoka wapi?", "Daga ina {first_name}?"],
    ["Answer", "{nationality}", "{nationality}", "{nationality}"],
    ["nationality", "Kenyan", "Mkenya", "dan Kenya"],
    ["nationality", "Omani", "Momani", "dan Oman"],
    ["profession", "a baker", "mwokaji", "mai burodi"],
    ["profession", "a tailor", "fundi", "tela"],
    [],
    ["Name", "Animal vs Vehicle"],
    ["Capability", "Taxonomy"],
    [
        "Context",
        "{first_name} has {animal} and {vehicle}.",
        "{first_name} ana {animal} na {vehicle}.",
        "{first_name} na da {animal} da {vehicle}.",
    ],
    ["Question", "What animal does {first_name} have?", "{first_name} ana mnyama gani?", "Wace dabba {first_name}?"],
    ["Answer", "{animal}", "{animal}", "{animal}"],
    ["Question", "What vehicle does {first_name} have?", "{first_name} ana chombo gani?", "Wace mota {first_name}?"],
    ["Answer", "{vehicle}", "{vehicle}", "{vehicle}"],
    ["animal", "a goat", "mbuzi", "akuya"],
    ["animal", "a hen", "kuku", "kaza"],
    ["vehicle", "a bus", "basi", "bas"],
    ["vehicle", "a boat", "mashua", "jirgi"],
    [],
    ["Name", "Animal vs Vehicle v2"],
    ["Capability", "Taxonomy"],
    [
        "Context",
        "{first_name} got {animal}. {first_name2} got {vehicle}.",
        "{first_name} alipata {animal}. {first_name2} alipata {vehicle}.",
        "Ya samu {animal}. {first_name2} ya samu {vehicle}.",
    ],
    ["Question", "Who got an animal?", "Nani alipata mnyama?", "Wa ya samu dabba?"],
    ["Answer", "{first_name}", "{first_name}", "{first_name}"],
    ["Question", "Who got a vehicle?", "Nani alipata chombo?", "Wa ya samu mota?"],
    ["Answer", "{first_name2}", "{first_name2}", "{first_name2}"],
]

NAMES = {
    "en": {"male": ["Zeke", "Yorick", "Quill"], "female": ["Uma", "Vita"]},
    "sw": {"male": ["Juma", "Baraka", "Simba"], "female": ["Zuri", "Neema"]},
}


def table_text(lines=LINES, head=HEAD) -> str:
    """The table as a file's text: every line has all cells, as the published one."""
    padded = [[*line, *[""] * (len(head) - len(line))] for line in [head, *lines]]
    return "".join("\t".join(line) + "\n" for line in padded)


def names_text() -> str:
    return json.dumps({"names": NAMES})


def checklist_files(*suite: tuple[str, str]) -> list[tuple[str, str]]:
    """The files of the reader, with a suite if one is given."""
    return [*suite, ("templates.tsv", table_text()), ("names.json", names_text())]
