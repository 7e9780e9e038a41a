"""Ways in which evaluation data come into training data: each is found, or one of the limits that the guard names."""

import random
import re
import unicodedata

import pytest

from crosstune.data.overlap import LIMITS, OverlapIndex, fingerprint

# ruff: noqa: RUF001

PARAGRAPH = (
    "The lighthouse on the northern cape was finished in the autumn of 1861, after three winters in which storms had "
    "carried away the scaffolding of its builders. Its keeper, a former whaler from the islands, lived there with two "
    "daughters and kept a careful journal of every ship that passed the reef. When the lamp was changed to gas, in "
    "1890, the harbour office sent an engineer who stayed for a month and drew the first reliable map of the coast. "
    "Most of his drawings were lost in a fire at the ministry; four of them hang today in the small museum that the "
    "village opened in the old boathouse."
)
OTHER = (
    "Rice is grown on terraces that follow the slopes of the valley, and each family repairs its own walls before the "
    "rain begins in May. A council of elders decides on which day the water of the upper spring may be let in, and "
    "for how many hours it runs into every field."
)
FRENCH = (
    "L'été où les marées d'équinoxe ont ouvert la brèche, les pêcheurs du côté est ont dû céder leurs barques à la "
    "coopérative, qui les a réparées à ses frais pour être prête dès le mois de février suivant, malgré la tempête."
)
RUSSIAN = (
    "Маяк на северном мысу достроили осенью, когда бури уже снесли леса, поставленные рабочими. Смотритель, бывший "
    "китобой с островов, жил там с двумя дочерьми и вёл подробный журнал обо всех кораблях, что проходили мимо рифа."
)
GREEK = (
    "Ο φάρος στο βόρειο ακρωτήρι τελείωσε το φθινόπωρο, αφού οι καταιγίδες είχαν παρασύρει τις σκαλωσιές. Ο φύλακας "
    "έμενε εκεί με τις δύο κόρες του και κρατούσε ημερολόγιο για κάθε πλοίο που περνούσε από τον ύφαλο."
)
TURKISH = (
    "Kuzey burnundaki ışıklı kule sonbaharda bitirildi, çünkü fırtınalar iki kış boyunca iskeleyi yıkmıştı. Bekçi "
    "orada iki kızıyla yaşadı ve kıyıdan geçen her gemiyi ince bir deftere dikkatle yazdı."
)
ARABIC = (
    "انتهى بناء المنارة في الرأس الشمالي في خريف عام 1861 بعد أن جرفت العواصف سقالات البنائين، وكان حارسها صيادا "
    "سابقا من الجزر يعيش هناك مع ابنتيه ويكتب يوميات دقيقة عن كل سفينة تمر قرب الشعاب المرجانية في هذا المكان"
)
HEBREW = "המגדלור בכף הצפוני הושלם בסתיו אחרי שלושה חורפים שבהם סערות סחפו את הפיגומים של הבנאים אל הים הגדול"
HINDI = (
    "उत्तरी अंतरीप का दीपस्तंभ 1861 की शरद ऋतु में पूरा हुआ, जब तूफान तीन बार मचान बहा ले गए थे। उसका रखवाला द्वीपों "
    "का पुराना मछुआरा था, जो वहाँ दो बेटियों के साथ रहता था और हर गुजरते जहाज का हाल लिखता था।"
)
CHINESE = (
    "北角的灯塔在一八六一年秋天完工，此前三个冬天的风暴都把工人搭起的脚手架卷走了。守塔人从前是岛上的捕鲸手，他和两个女儿住在那里，"
    "仔细记下每一艘经过暗礁的船。后来灯改用煤气，港务局派来一位工程师，他住了一个月，画出第一张可靠的海岸地图。他的图大多在部里的"
    "一场火灾中烧毁，如今只有四张挂在村民用旧船屋办起的小博物馆里。"
)
TRADITIONAL = (
    "北角的燈塔在一八六一年秋天完工，此前三個冬天的風暴都把工人搭起的腳手架捲走了。守塔人從前是島上的捕鯨手，他和兩個女兒住在那裡，"
    "仔細記下每一艘經過暗礁的船。後來燈改用煤氣，港務局派來一位工程師，他住了一個月，畫出第一張可靠的海岸地圖。他的圖大多在部裡的"
    "一場火災中燒毀，如今只有四張掛在村民用舊船屋辦起的小博物館裡。"
)
THAI = "ประภาคารบนแหลมทางเหนือสร้างเสร็จในฤดูใบไม้ร่วงหลังจากพายุพัดนั่งร้านของคนงานไปถึงสามครั้งผู้ดูแลอาศัยอยู่กับลูกสาวสองคน"

SENTENCES = re.findall(r"[^.]+\.", PARAGRAPH)
SQUAD_ID, UUID = "56beb4343aeaaa14008c925b", "0F8fad5b-d9cb-469f-a165-70867728950e"


def rows(*texts: str, name: str = "row-{}") -> list[dict]:
    return [{"id": name.format(number), "text": text} for number, text in enumerate(texts)]


def change_every(number: int, text: str) -> str:
    words = text.split()
    return " ".join("zebra" if place % number == number - 1 else word for place, word in enumerate(words))


def part(first: float, last: float, text: str) -> str:
    units = text.split() if " " in text else list(text)
    chosen = units[round(first * len(units)) : round(last * len(units))]
    return (" " if " " in text else "").join(chosen)


def replaced(text: str, old: str, new: str) -> str:
    return text.translate(str.maketrans(old, new))


def named(name: str) -> list[dict]:
    return [{"id": name, "text": f"Texts of {name} differ."}]


# Texts of which the second, or several together, hold the first.
COPIES = {
    "every 12th word changed": ("near", PARAGRAPH, [change_every(12, PARAGRAPH)]),
    "every 15th word left out": ("near", PARAGRAPH, [re.sub(r"((?:\S+ ){14})\S+ ", r"\1", PARAGRAPH)]),
    "the first 40%": ("near", PARAGRAPH, [part(0, 0.4, PARAGRAPH)]),
    "the middle 40% in other text": ("near", PARAGRAPH, [f"{OTHER} {part(0.3, 0.7, PARAGRAPH)} {OTHER}"]),
    "40% in Chinese": ("near", CHINESE, [part(0.2, 0.6, CHINESE)]),
    "sentences": ("near", PARAGRAPH, SENTENCES),
    "sentences among others": ("near", PARAGRAPH, [f"{OTHER} {sentence} {OTHER}" for sentence in SENTENCES]),
    "half of the sentences": ("near", PARAGRAPH, SENTENCES[1:3]),
    "halves": ("near", PARAGRAPH, [part(0, 0.5, PARAGRAPH), part(0.5, 1, PARAGRAPH)]),
    "quarters": ("near", PARAGRAPH, [part(n / 4, (n + 1) / 4, PARAGRAPH) for n in range(4)]),
    "halves in Hindi": ("near", HINDI, [part(0, 0.5, HINDI), part(0.5, 1, HINDI)]),
    "sentences in another order": ("near", PARAGRAPH, [" ".join(reversed(SENTENCES))]),
    "inside a longer text": ("near", PARAGRAPH, [f"{OTHER} {PARAGRAPH} {OTHER}"]),
    "footnote marks": ("near", PARAGRAPH, [re.sub(r"([.,])", r"\1[12]", PARAGRAPH)]),
    "spaces between letters": ("exact", PARAGRAPH, [" ".join(PARAGRAPH)]),
    "no spaces": ("exact", PARAGRAPH, ["".join(PARAGRAPH.split())]),
    "typographic quotes and dashes": ("exact", PARAGRAPH, [f"“{PARAGRAPH.replace(', ', ' — ')}”"]),
    "Cyrillic homoglyphs": ("exact", PARAGRAPH, [replaced(PARAGRAPH, "aeocpxyiTHMKB", "аеосрхуіТНМКВ")]),
    "Greek homoglyphs": ("exact", PARAGRAPH, [replaced(PARAGRAPH, "oTMIAEH", "οΤΜΙΑΕΗ")]),
    "homoglyphs in part of the words": ("exact", PARAGRAPH, [PARAGRAPH.replace("the", "thе").replace("of", "оf")]),
    "Latin homoglyphs in Russian": ("exact", RUSSIAN, [replaced(RUSSIAN, "аеорсухМ", "aeopcyxM")]),
    "mathematical letters": ("exact", PARAGRAPH, [PARAGRAPH.replace("a", "𝐚").replace("e", "𝖾")]),
    "full-width letters": ("exact", PARAGRAPH, [replaced(PARAGRAPH, "abcdefgh", "ａｂｃｄｅｆｇｈ")]),
    "&nbsp;": ("exact", PARAGRAPH, [PARAGRAPH.replace(" ", "&nbsp;")]),
    "&nbsp; in half of the text": ("near", PARAGRAPH, [part(0, 0.5, PARAGRAPH).replace(" ", "&nbsp;")]),
    "entities escaped twice": ("exact", FRENCH, [FRENCH.replace("é", "&amp;eacute;").replace("'", "&amp;#39;")]),
    "numeric entities": ("exact", FRENCH, [FRENCH.replace("é", "&#233;").replace("à", "&#xE0;")]),
    "tags of HTML": ("exact", PARAGRAPH, [f"<p class='x'>{PARAGRAPH.replace('. ', '.<br/>')}</p>"]),
    "zero-width spaces in half of the words": (
        "near", PARAGRAPH, [part(0, 0.6, PARAGRAPH).replace("er", "e\u200br").replace("th", "t\u200dh")]
    ),
    "soft hyphens": ("exact", PARAGRAPH, [PARAGRAPH.replace("ar", "a\u00adr")]),
    "byte order and direction marks": ("exact", ARABIC, ["\ufeff\u200f" + ARABIC.replace(" ", " \u200f")]),
    "variation selectors": ("exact", PARAGRAPH, [PARAGRAPH.replace("o", "o\ufe0f")]),
    "no-break spaces": ("exact", PARAGRAPH, [PARAGRAPH.replace(" ", "\u00a0").replace(".", ".\u2028")]),
    "decomposed accents": ("exact", FRENCH, [unicodedata.normalize("NFD", FRENCH)]),
    "accents left out": ("exact", FRENCH, [unicodedata.normalize("NFD", FRENCH).replace("\u0301", "")]),
    "Greek capitals without accents": ("exact", GREEK, [unicodedata.normalize("NFD", GREEK.upper())]),
    "Turkish capitals": ("exact", TURKISH, [TURKISH.replace("i", "İ").upper()]),
    "Arabic vowel points": ("exact", ARABIC, [ARABIC.replace("ن", "نَ").replace("م", "مُّ")]),
    "Arabic lengthening": ("exact", ARABIC, [ARABIC.replace("ا", "ـا")]),
    "Arabic digits and alef without hamza": ("exact", ARABIC, [replaced(ARABIC, "1861أ", "١٨٦١ا")]),
    "Persian letters": ("exact", ARABIC, [replaced(ARABIC, "يك", "یک")]),
    "Hebrew points": ("exact", HEBREW, [HEBREW.replace("ה", "הַ").replace("ש", "שׁ")]),
    "digits of Hindi": ("exact", HINDI, [replaced(HINDI, "1861", "१८६१")]),
    "spaces in Thai": ("exact", THAI, ["\u200b".join(THAI)]),
}  # fmt: skip

# Ids of an evaluation row and of training rows, whose texts differ.
IDS = {
    "upper case": (SQUAD_ID, [SQUAD_ID.upper()]),
    "a suffix": (SQUAD_ID, [f"{SQUAD_ID}_es"]),
    "several suffixes": (SQUAD_ID, [f"{SQUAD_ID}-0-es", f"{SQUAD_ID}-1-es"]),
    "a prefix": (f"xquad.es.{SQUAD_ID}", [f"squad/{SQUAD_ID}"]),
    "a prefix of letters": (SQUAD_ID, [f"q{SQUAD_ID}"]),
    "prefix, suffix and case": (f"{SQUAD_ID}_en", [f"mt:{SQUAD_ID.upper()}:de"]),
    "braces and no dashes": (UUID, ["{" + UUID.upper() + "}", UUID.replace("-", "")]),
}

# What the guard does not find, by the limit that says so.
MISSES = {
    "every 10th word changed": ("words", PARAGRAPH, [change_every(10, PARAGRAPH)]),
    "digits for letters": ("words", PARAGRAPH, [replaced(PARAGRAPH, "lieo", "1130")]),
    "a paraphrase": (
        "words", PARAGRAPH,
        ["Builders finished the lighthouse of the cape in 1861. Its man had hunted whales; he noted all the ships."],
    ),
    "a quarter": ("part", PARAGRAPH, [part(0, 0.25, PARAGRAPH)]),
    "pieces of ten words": (
        "part", PARAGRAPH, [" ".join(PARAGRAPH.split()[n : n + 10]) for n in range(0, len(PARAGRAPH.split()), 10)]
    ),
    "a question with another word": (
        "short", "In what year was the lighthouse finished?", ["In which year was the lighthouse finished?"]
    ),
    "a translation": ("translation", PARAGRAPH, [FRENCH]),
    "romanised": ("script", RUSSIAN, ["Mayak na severnom mysu dostroili osenyu, kogda buri uzhe snesli lesa, postav"]),
    "traditional characters": ("script", CHINESE, [TRADITIONAL]),
    "a wrong encoding": ("encoding", RUSSIAN, [RUSSIAN.encode().decode("cp1251", errors="replace")]),
    "escapes": ("encoding", RUSSIAN, [RUSSIAN.encode("unicode-escape").decode()]),
    "another paragraph on the same": (
        "topic", PARAGRAPH, ["Gas replaced oil in the lamp of the cape in 1890, and an engineer mapped the coast."]
    ),
}  # fmt: skip


def found(evaluated: list[dict], train: list[dict], languages: tuple[str, str] = ("en", "en")) -> set[str]:
    """The kinds of overlap."""
    index = OverlapIndex({"e": fingerprint(evaluated, languages[0])})
    pairs = index.overlaps("t", fingerprint(train, languages[1]), ["e"])
    return {kind for pair in pairs for kind in ("exact", "near", "short", "id", "parallel") if pair[kind]}


@pytest.mark.parametrize("case", COPIES)
def test_a_copy_is_found(case):
    kind, evaluated, train = COPIES[case]
    assert found(rows(OTHER[:60], evaluated), rows("Something else.", *train)) == {kind}


@pytest.mark.parametrize("case", IDS)
def test_a_row_is_found_by_its_id(case):
    evaluated, train = IDS[case]
    test = [{"id": evaluated, "text": "Who built it?"}]
    assert found(test, [{"id": name, "text": "¿Quién la hizo?"} for name in train]) == {"id"}


@pytest.mark.parametrize("case", MISSES)
def test_what_is_not_found_is_a_named_limit(case):
    limit, evaluated, train = MISSES[case]
    assert LIMITS[limit] and found(rows(evaluated), rows(*train)) == set()


def test_every_limit_has_a_case():
    assert {limit for limit, *_ in MISSES.values()} == set(LIMITS)


# --- rows of a parallel test set in another language ------------------------------------------------------------------


def translated(number: int, seed: int, letters: str, stretch: float) -> list[str]:
    """Texts of two languages have lengths in proportion, more or less, and no words in common."""
    lengths, noise = random.Random(seed), random.Random(letters)
    sizes = [lengths.randint(6, 30) for _ in range(number)]
    return [
        " ".join("".join(noise.choices(letters, k=noise.randint(2, 9))) for _ in range(round(size * stretch)))
        for size in sizes
    ]


@pytest.mark.parametrize(
    ("evaluated", "train"),
    [("xnli.test.en:{}", "xnli.test.de:{}"), ("n01001{}", "n01001{}"), ("{}", "{}"), ("en-{}-a", "de-{}-a")],
    ids=["the language in the file's name", "the same ids", "numbers", "the language before the id"],
)
def test_rows_of_another_language_are_found_by_ids_and_lengths(evaluated, train):
    english = rows(*translated(60, 1, "abcdefgh", 1.0), name=evaluated)
    german = rows(*translated(60, 1, "ijklmnop", 1.2), name=train)
    assert found(english, german, ("en", "de")) == {"parallel"}
    assert found(english, german[30:] + german[:30], ("en", "de")) == {"parallel"}, "the order does not matter"


def test_other_rows_with_the_same_ids_are_no_leak():
    """Files of two splits may number their rows alike, and may be sorted by length."""
    english = translated(200, 1, "abcdefgh", 1.0)
    german = translated(200, 2, "ijklmnop", 1.2)
    assert found(rows(*english, name="en:{}"), rows(*german, name="de:{}"), ("en", "de")) == set()
    english, german = (sorted(texts, key=len) for texts in (english, german))
    assert found(rows(*english, name="en:{}"), rows(*german, name="de:{}"), ("en", "de")) == set()


def test_few_rows_in_common_are_no_evidence():
    english = rows(*translated(30, 1, "abcdefgh", 1.0), name="en:{}")
    german = rows(*translated(30, 1, "ijklmnop", 1.2), name="de:{}")
    assert found(english, german, ("en", "de")) == set()


def test_sentences_of_one_document_are_not_the_same_row():
    test = [row for n in range(3) for row in named(f"blog_e874a1e5eb995654_2006-{n}")]
    train = [row for n in range(7, 9) for row in named(f"blog_e874a1e5eb995654_2006-{n}")]
    assert found(test, train) == set()
