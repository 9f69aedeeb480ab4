"""How many names and postal addresses are taken out of examples, and what else is.

    python -m bench.people [DIR] [--texts 150]

Faker's names and addresses of nine countries stand in messages as people write them to a shop, once as they are and
once in small letters: a name counts as found where no word of it is left, an address where its street is gone. What is
taken out beside it, and of messages without a name or an address, is wrong. With a folder of the data of
docs/quality.md, CLINC150 and HEADLINES are looked through as well: what is found there is listed, since nobody has
marked it; and a student learns from 1,000 of their questions with names and without, and is asked 1,000 others as they
are, as calls will ask it. One thread.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from faker import Faker

from costhub.eval.data import read_clinc, read_headlines
from proxy.cache.minilm import MiniLM
from proxy.learning.conversations import Example, Message
from proxy.learning.evaluation import bound
from proxy.learning.head import Course, number_labels, rate_labels
from proxy.learning.head_learner import HeadLearner, Lesson
from proxy.learning.people import ADDRESS, NAME, Kept, take_out
from proxy.learning.people_model import PeopleModel

SEED = 7
SHOWN = 12
PUBLIC = 2_000
LEARNED = 1_000


class Words(NamedTuple):
    """What people of a country write: with a name, with an address, and with neither."""

    named: tuple[str, ...]
    living: tuple[str, ...]
    neither: tuple[str, ...]


ENGLISH = Words(
    (
        "My name is {}, and my parcel has not come.",
        "Hello, {} here. Please cancel the order.",
        "Dear {},\nthank you for the quick answer.\nBest regards",
        "I spoke to {} on Monday, who promised a refund.",
        "The invoice must be made out to {}, not to me.",
        "Can you tell {} that the meeting is at ten?",
        "The patient {} has complained of a cough for three weeks.",
        "All the best,\n{}",
    ),
    (
        "Please send it to {}.",
        "I have moved: my new address is {}.",
        "The courier says nobody was at {} on Friday.",
        "Ship to:\n{}\nThank you",
        "Is there a shop near {}?",
    ),
    (
        "Where is my parcel? It was due on Monday.",
        "The blue lamp in size 42 came broken, and I want my money back.",
        "Do you deliver to Berlin, Paris and New York in May?",
        "My order 10115 costs 12 euros more than the one of last March.",
        "How do I set up the account on an iPhone with Windows?",
        "Will the price of gold rise after the Fed has met?",
        "Write a function in Python that sorts a list of 100 numbers.",
        "Thank you for your help, have a nice day!",
    ),
)
GERMAN = Words(
    (
        "Ich heiße {} und mein Paket ist nicht angekommen.",
        "Sehr geehrte Frau {}, vielen Dank für die schnelle Antwort.",
        "Gestern habe ich mit {} telefoniert.",
        "Die Rechnung soll auf {} lauten.",
        "Mit freundlichen Grüßen\n{}",
    ),
    ("Bitte an {} liefern.", "Ich bin umgezogen, die neue Adresse ist {}.", "Lieferanschrift:\n{}\nDanke"),
    (
        "Wo bleibt mein Paket? Es sollte am Montag kommen.",
        "Die blaue Lampe in Größe 42 war kaputt, ich möchte mein Geld zurück.",
        "Liefern Sie auch nach Berlin und Paris?",
    ),
)
FRENCH = Words(
    (
        "Je m'appelle {} et mon colis n'est pas arrivé.",
        "Bonjour Madame {}, merci pour votre réponse.",
        "Hier, j'ai parlé avec {} au téléphone.",
        "Cordialement,\n{}",
    ),
    ("Merci d'envoyer la commande à {}.", "J'ai déménagé, ma nouvelle adresse est {}.", "Adresse :\n{}\nMerci"),
    ("Où est mon colis ? Il devait arriver lundi.", "Livrez-vous à Paris et à Berlin ?"),
)
SPANISH = Words(
    ("Me llamo {} y mi paquete no ha llegado.", "Ayer hablé con {} por teléfono.", "Un saludo,\n{}"),
    ("Por favor, envíenlo a {}.", "Mi nueva dirección es {}."),
    ("¿Dónde está mi paquete? Tenía que llegar el lunes.", "¿Entregan en Madrid y en París?"),
)
ITALIAN = Words(
    ("Mi chiamo {} e il mio pacco non è arrivato.", "Ieri ho parlato con {} al telefono.", "Cordiali saluti,\n{}"),
    ("Per favore, spedite a {}.", "Il mio nuovo indirizzo è {}."),
    ("Dov'è il mio pacco? Doveva arrivare lunedì.", "Consegnate a Roma e a Parigi?"),
)
DUTCH = Words(
    ("Mijn naam is {} en mijn pakket is niet aangekomen.", "Gisteren sprak ik {} aan de telefoon.", "Groeten,\n{}"),
    ("Stuur het naar {}.", "Mijn nieuwe adres is {}."),
    ("Waar is mijn pakket? Het zou maandag komen.", "Leveren jullie in Amsterdam en Parijs?"),
)
POLISH = Words(
    ("Nazywam się {} i moja paczka nie dotarła.", "Wczoraj rozmawiałem z {} przez telefon.", "Pozdrawiam,\n{}"),
    ("Proszę wysłać na adres {}.", "Mój nowy adres to {}."),
    ("Gdzie jest moja paczka? Miała przyjść w poniedziałek.", "Czy dostarczacie do Warszawy i Paryża?"),
)
COUNTRIES = {
    "en_US": ENGLISH,
    "en_GB": ENGLISH,
    "en_IN": ENGLISH,
    "de_DE": GERMAN,
    "fr_FR": FRENCH,
    "es_ES": SPANISH,
    "it_IT": ITALIAN,
    "nl_NL": DUTCH,
    "pl_PL": POLISH,
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.people")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--texts", type=int, default=150, help="names, and addresses, of each country")
    options = parser.parse_args(arguments)
    model = PeopleModel()
    print("| | names | addresses | names, in small letters | addresses | other words too | in texts without |")
    print("|---|---|---|---|---|---|---|")
    for country, words in COUNTRIES.items():
        made = Faker(country)
        made.seed_instance(SEED)
        names = [made.name() for _ in range(options.texts)]
        # Half of them in one line.
        streets = [made.address().replace("\n", ", " if number % 2 else "\n") for number in range(options.texts)]
        columns, beyond = [], 0
        for change in (str, str.lower):
            for values, texts, kind in ((names, words.named, NAME), (streets, words.living, ADDRESS)):
                tries = [
                    _take_out(model, change(texts[number % len(texts)]), change(value), kind)
                    for number, value in enumerate(values)
                ]
                columns.append(_share([one.is_gone for one in tries]))
                beyond += sum(one.is_beyond for one in tries) if change is str else 0
        wrong = sum(bool(model.find(text)) for text in words.neither)
        columns += [f"{beyond / (2 * options.texts):.1%}", f"{wrong} of {len(words.neither)}"]
        print(f"| {country} | {' | '.join(columns)} |", flush=True)
    if options.data is not None:
        draw = np.random.default_rng(SEED)
        sets = {"CLINC150": read_clinc(options.data), "HEADLINES": read_headlines(options.data, "train")}
        for name, rows in sets.items():
            chosen = [rows[place][0] for place in draw.permutation(len(rows))[:PUBLIC]]
            _look_through(model, name, chosen)
            _compare_students(model, name, rows, draw)
    return 0


class Try(NamedTuple):
    """Whether nothing of a name, or of an address's street, is left, and whether a word beside it is gone too."""

    is_gone: bool
    is_beyond: bool


def _take_out(model: PeopleModel, text: str, value: str, kind: str) -> Try:
    before, after = text.split("{}")
    whole = before + value + after
    covered = [any(start <= place < stop for start, stop, _ in model.find(whole)) for place in range(len(whole))]
    told = value if kind == NAME else re.split(r"[\n,]", value)[0]
    first, last = len(before), len(before) + len(value)
    words = [match for match in WORDS.finditer(whole) if match[0].lower() not in TITLES]
    of_value = [match for match in words if first <= match.start() < first + len(told)]
    beside = [match for match in words if match.end() <= first or match.start() >= last]
    return Try(
        all(covered[place] for match in of_value for place in range(*match.span())),
        any(covered[match.start()] for match in beside),
    )


WORDS = re.compile(r"\w{3,}")
#: which tell of nobody
TITLES = frozenset(
    "mrs miss prof dott sig sig.ra ing dipl univ frau herr mme pan pani dhr mevr drs hab inż jr iii phd dds dvm".split()
)


def _share(found: Sequence[bool]) -> str:
    share = bound(sum(found), len(found))
    return f"{share.found / share.of:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _look_through(model: PeopleModel, name: str, texts: Sequence[str]) -> None:
    began = time.perf_counter()
    found = [(kind, text[start:stop]) for text in texts for start, stop, kind in model.find(text)]
    each = (time.perf_counter() - began) / len(texts) * 1000
    kinds = Counter(kind for kind, _ in found)
    print(f"{name}: {kinds[NAME]} names, {kinds[ADDRESS]} addresses in {len(texts):,} texts; {each:.1f} ms each")
    common = Counter(text for _, text in found).most_common(SHOWN)
    print("  " + ", ".join(f"{text} {count}" for text, count in common), flush=True)


def _compare_students(
    model: PeopleModel, name: str, rows: Sequence[tuple[str, str]], draw: np.random.Generator
) -> None:
    """How often a student is right that has learned from what is left, and one that has learned from the whole."""
    embed = MiniLM().embed
    chosen = [rows[place] for place in draw.permutation(len(rows))[: 2 * LEARNED]]
    learned, asked = chosen[:LEARNED], chosen[LEARNED:]
    labels = sorted({label for _, label in learned})
    answers = number_labels(labels, [label for _, label in learned])
    vectors = embed([text for text, _ in asked])
    told = []
    for what, texts in (
        ("with names", [text for text, _ in learned]),
        ("without", [_clean(model, text) for text, _ in learned]),
    ):
        learner = HeadLearner(Lesson(embed(texts), answers, len(labels), "rows"), Course())
        while learner.step < learner.steps:
            learner.take_step(lambda: False)
        said = [labels[place] for place in rate_labels(learner.state.weights, vectors).argmax(axis=1)]
        is_right = [one == label for one, (_, label) in zip(said, asked, strict=True)]
        told.append(f"{what} {_share(is_right)}")
    print(f"{name}: a student of {len(learned):,} is right: {', '.join(told)}", flush=True)


def _clean(model: PeopleModel, text: str) -> str:
    example = Example("one", 0, (Message("user", text),), "-")
    return take_out(example, model.find, Kept(frozenset(), answers=True))[0].question


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
