"""How hard a prompt looks before anything is learned, in the languages that it knows."""

import unicodedata

import pytest

from proxy.core.routes import heuristic
from proxy.core.routes.heuristic import Complexity, classify, classify_in_four
from proxy.core.routes.text_features import REASONING
from proxy.core.words import list_forms, stem

SIMPLE, MEDIUM, COMPLEX = Complexity.SIMPLE, Complexity.MEDIUM, Complexity.COMPLEX

#: what people ask, and what somebody who reads it calls it: a fact, something to reason about, something to make
PROMPTS = {
    # English
    "What is the capital of France?": SIMPLE,
    "Translate 'good morning' into Italian.": SIMPLE,
    "How many legs does a spider have?": SIMPLE,
    "Who wrote Hamlet?": SIMPLE,
    "Who designed the Sydney Opera House?": SIMPLE,
    "Which gland creates insulin?": SIMPLE,
    "What is the tallest building in Dubai?": SIMPLE,
    "Is Brazil a developing country?": SIMPLE,
    "Which country generates most of its power from wind?": SIMPLE,
    "Thanks, that helps!": SIMPLE,
    "Explain photosynthesis.": MEDIUM,
    "Compared with Rust, is Go slower?": MEDIUM,
    "Who explained entropy first?": MEDIUM,
    "Is what she analyzed right?": MEDIUM,
    "Comparing these two offers, which is cheaper?": MEDIUM,
    "He analysed the sample twice: was that needed?": MEDIUM,
    "Is the verdict justified?": MEDIUM,
    "How is the quadratic formula derived?": MEDIUM,
    "Has anybody proved Goldbach's conjecture?": MEDIUM,
    "Evaluating risk: which of the two is safer?": MEDIUM,
    "Why is the sky blue?": MEDIUM,
    "Follow this reasoning: all cats are grey, so Tom is.": MEDIUM,
    "Write a haiku about rain.": COMPLEX,
    "Help me with writing a cover letter.": COMPLEX,
    "I am designing a database for a library, where do I begin?": COMPLEX,
    "Implement quicksort in Go.": COMPLEX,
    "Draft a polite refusal.": COMPLEX,
    "I need help generating test data.": COMPLEX,
    # German
    "Was ist die Hauptstadt von Frankreich?": SIMPLE,
    "Wie viele Beine hat eine Spinne?": SIMPLE,
    "Wie schreibt man Rhythmus?": SIMPLE,
    "Erkläre die Photosynthese.": MEDIUM,
    "Vergleiche Rust mit Go.": MEDIUM,
    "Warum ist der Himmel blau?": MEDIUM,
    "Kannst du das begründen?": MEDIUM,
    "Schreibe ein Programm, das Primzahlen sucht.": COMPLEX,
    "Kannst du mir eine Bewerbung schreiben?": COMPLEX,
    "Entwirf eine Datenbank für eine Bücherei.": COMPLEX,
    # French
    "Quelle est la capitale de l'Italie ?": SIMPLE,
    "Qui a créé Python ?": SIMPLE,
    "Expliquez la photosynthèse.": MEDIUM,
    "Peux-tu comparer Rust et Go ?": MEDIUM,
    "Pourquoi le ciel est-il bleu ?": MEDIUM,
    "Écris un poème sur la pluie.": COMPLEX,
    "Rédige une lettre de motivation.": COMPLEX,
    # Spanish
    "¿Cuál es la capital de Francia?": SIMPLE,
    "¿Qué hora es en Lima?": SIMPLE,
    "Explica la fotosíntesis.": MEDIUM,
    "Analiza este contrato.": MEDIUM,
    "Escribe un cuento corto.": COMPLEX,
    "Diseña una base de datos.": COMPLEX,
    # Italian
    "Qual è la capitale della Francia?": SIMPLE,
    "Qual è la valuta del Giappone?": SIMPLE,
    "Spiega la fotosintesi.": MEDIUM,
    "Confronta Rust e Go.": MEDIUM,
    "Scrivi una poesia sulla pioggia.": COMPLEX,
    # Portuguese
    "Qual é a capital da França?": SIMPLE,
    "Pode explicar a fotossíntese?": MEDIUM,
    "Analise este contrato.": MEDIUM,
    "Escreva um poema sobre a chuva.": COMPLEX,
}


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS.items())
def test_a_prompt_looks_as_hard_as_what_it_asks_for(prompt: str, expected: Complexity) -> None:
    assert classify(prompt) is expected
    # As what comes from some systems is written: marks behind their letters.
    assert classify(unicodedata.normalize("NFD", prompt)) is expected


def test_there_are_sixty_prompts_of_six_languages() -> None:
    assert len(PROMPTS) == 60


def test_every_form_of_a_word_has_its_stem_and_no_other_word_of_that_stem_is_missing() -> None:
    for word in REASONING:
        assert {stem(form) for form in list_forms(word)} == {stem(word)}
        assert word in list_forms(word)
        assert list_forms(word) <= heuristic._REASONING
    assert list_forms("compare") >= {"compare", "compares", "compared", "comparing"}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hi", Complexity.SIMPLE),
        ("Explain AI", Complexity.MEDIUM),
        ("Write a poem", Complexity.COMPLEX),
        ("word " * 101, Complexity.COMPLEX),
        ("word " * 101 + "write", Complexity.VERY_COMPLEX),
        ("write " + "word " * 2_000, Complexity.VERY_COMPLEX),
    ],
)
def test_in_four_classes_the_last_is_long_and_something_to_make(prompt: str, expected: Complexity) -> None:
    assert classify_in_four(prompt) is expected
