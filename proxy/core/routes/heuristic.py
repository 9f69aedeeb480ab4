"""A router that has learned nothing yet: the length of a prompt and a few of its words.

It is where a tenant starts. What it is worth is measured beside the learned one (docs/quality.md): little more than
the length alone.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from proxy.core.routes.text_features import CREATION, REASONING
from proxy.core.words import list_forms, split_words

_SHORT: Final = 20
_LONG: Final = 100
#: characters that nearly always have more words than that
_SURELY_LONG: Final = 1_500

# Other languages' words for what REASONING and CREATION say in English, as people ask: "explain", "to explain",
# "explain to me". Those that are everyday words as well, such as "valuta" or "genera", are left out. No router was
# trained on them: ``text_features`` has the English ones alone.
_REASONING_ELSEWHERE: Final = (
    # German
    "erkläre erklär erklären erkläret vergleiche vergleich vergleichen analysiere analysieren beweise beweisen begründe"
    " begründen bewerte bewerten beurteile beurteilen herleiten warum weshalb wieso"
    # French
    " explique expliquez expliquer comparez comparer analysez analyser démontre démontrez démontrer prouve prouvez"
    " prouver justifie justifiez justifier évalue évaluez évaluer pourquoi"
    # Spanish
    " explica explícame explicar compara comparar analiza analizar demuestra demostrar justifica justificar evalúa"
    " evaluar razona razonar"
    # Italian
    " spiega spiegami spiegare confronta confrontare paragona paragonare analizza analizzare dimostra dimostrare"
    " giustifica giustificare valutare perché"
    # Portuguese
    " explicar analise analisar demonstre demonstrar justifique avalie avaliar"
)
_CREATION_ELSEWHERE: Final = (
    # German
    "schreibe schreib schreiben verfasse verfassen erstelle erstellen entwirf entwerfen entwickle entwickeln generiere"
    " generieren erzeuge erzeugen implementiere implementieren programmiere programmieren"
    # French
    " écris écrivez écrire rédige rédigez rédiger crée créez créer génère générez générer conçois concevez concevoir"
    " développe développez développer implémente implémentez implémenter"
    # Spanish
    " escribe escríbeme escribir redacta redactar crea crear generar diseña diseñar desarrolla desarrollar implementa"
    " implementar"
    # Italian
    " scrivi scrivimi scrivere redigi redigere creare generare progetta progettare sviluppa sviluppare implementare"
    " componi comporre"
    # Portuguese
    " escreva escreve escrever redija redigir crie criar gere gerar desenvolva desenvolver implemente projete projetar"
)
#: forms that ``list_forms`` does not know: a "y" has become an "i"
_IRREGULAR: Final = "justifies justified justifying"
#: things and kinds more often than something to make
_NOT_MADE: Final = frozenset({"building", "developing"})


def _forms(words: Iterable[str]) -> frozenset[str]:
    return frozenset(form for word in words for form in list_forms(word))


# Each form stands here once and for all, so that no word of a prompt has to be brought to its stem in a call.
_REASONING: Final = _forms(REASONING) | {*_IRREGULAR.split(), *_REASONING_ELSEWHERE.split()}
# "Who designed the opera house?" and "Which gland creates insulin?" ask for a fact: of what is to be made, only what
# is asked for counts ("design", "help me with designing").
_CREATION: Final = (
    CREATION
    | ({form for form in _forms(CREATION) if form.endswith("ing")} - _NOT_MADE)
    | frozenset(_CREATION_ELSEWHERE.split())
)


class Complexity(StrEnum):
    """How hard a prompt looks. The last is told only where four classes are: what is complex by both signs."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"
    VERY_COMPLEX = "very complex"


#: finding a member of an enumeration costs as much as a sum
_SIMPLE: Final = Complexity.SIMPLE
_MEDIUM: Final = Complexity.MEDIUM
_COMPLEX: Final = Complexity.COMPLEX


def classify(prompt: str) -> Complexity:
    """Simple: short, and nothing to reason about. Complex: long, or something to make. Medium: the rest."""
    if len(prompt) > _SURELY_LONG and len(split_words(prompt[:_SURELY_LONG])) > _LONG + 1:
        # The last one may be half a word. What else a long prompt says changes nothing.
        return _COMPLEX
    words = split_words(prompt)
    if len(words) > _LONG or not _CREATION.isdisjoint(words):
        return _COMPLEX
    if len(words) < _SHORT and _REASONING.isdisjoint(words):
        return _SIMPLE
    return _MEDIUM


def classify_in_four(prompt: str) -> Complexity:
    """As ``classify``, and very complex: long, and something to make."""
    looks = classify(prompt)
    if looks is _COMPLEX:
        words = split_words(prompt)
        if len(words) > _LONG and not _CREATION.isdisjoint(words):
            return Complexity.VERY_COMPLEX
    return looks


def rate(prompt: str) -> float:
    """The same as ``classify`` as a number from 0 (simple) to 1 (complex), longer prompts higher within a class."""
    rank = (Complexity.SIMPLE, Complexity.MEDIUM, Complexity.COMPLEX).index(classify(prompt))
    return (rank + min(len(prompt), 9_999) / 10_000) / 3
