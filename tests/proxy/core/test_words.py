"""How a text is split into words."""

import unicodedata

import pytest

from proxy.core.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Erkläre die Photosynthese.", ["erkläre", "die", "photosynthese"]),
        ("Écris un poème, l'été !", ["écris", "un", "poème", "l'été"]),
        ("¿Diseña una base de datos?", ["diseña", "una", "base", "de", "datos"]),
        ("perché no", ["perché", "no"]),
        ("fotossíntese à toa", ["fotossíntese", "à", "toa"]),
        ("Việt Nam", ["việt", "nam"]),
        # A script without spaces is read sign by sign.
        ("한국어", ["한", "국", "어"]),
        ("plain words", ["plain", "words"]),
    ],
)
def test_a_word_is_the_same_however_its_letters_are_composed(text: str, words: list[str]) -> None:
    assert split_words(unicodedata.normalize("NFC", text)) == words
    assert split_words(unicodedata.normalize("NFD", text)) == words
