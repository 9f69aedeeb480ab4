"""Which texts the students' encoder knows the words of."""

import pytest

from proxy.learning.vocabulary import count_unknown

KNOWN = (
    "Where is my parcel? I ordered shoes last week and it has not arrived.",
    "my wifi keeps dropping after the latest update of the router firmware",
    "Gold prices settle higher on weak dollar",
    "4711 0815 !?",
    "",
    "Wien",
)
UNKNOWN = (
    "Wo ist mein Paket? Ich habe letzte Woche Schuhe bestellt und sie sind nicht angekommen.",
    "Veuillez rembourser ma commande, la lampe est cassée",
    "por favor reembolse mi pedido, la lámpara está rota",
    "Gdzie jest moja paczka? Zamówiłem buty w zeszłym tygodniu",
    "Где моя посылка? Я заказал обувь на прошлой неделе",
    "我的包裹在哪里？我上周订了鞋子，还没有到。",
)


@pytest.mark.parametrize("text", KNOWN)
def test_english_is_known(text: str) -> None:
    assert count_unknown([text]) == 0


@pytest.mark.parametrize("text", UNKNOWN)
def test_other_languages_are_not(text: str) -> None:
    assert count_unknown([text]) == 1


def test_half_a_character_is_read_as_any_other_sign() -> None:
    assert count_unknown([*KNOWN, *UNKNOWN, "\ud800"]) == len(UNKNOWN)
