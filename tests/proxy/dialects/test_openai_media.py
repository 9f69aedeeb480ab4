"""Forms for pictures: what decides about money is read as every server reads it."""

import pytest

from proxy.dialects.openai_media import parse_request
from proxy.errors import InvalidRequest
from proxy.values.request import Endpoint


def make_form(n: bytes, disposition: bytes = b'form-data; name="n"') -> bytes:
    fields = [
        (b'form-data; name="model"', b"small"),
        (disposition, n),
        (b'form-data; name="image"; filename="a.png"', b"PNG"),
    ]
    return b"".join(b"--b\r\nContent-Disposition: %b\r\n\r\n%b\r\n" % field for field in fields) + b"--b--\r\n"


@pytest.mark.parametrize("n", [1, 10])
def test_a_form_says_how_many_pictures_it_wants(n: int) -> None:
    assert parse_request(Endpoint.IMAGE_EDITS, make_form(b"%d" % n)).choices == n


@pytest.mark.parametrize("n", [b"0", b"11", b"00000000111", b"000000001" + b"0" * 5_000, "٣".encode(), b"1.0"])
def test_any_other_number_is_refused_by_name(n: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.IMAGE_EDITS, make_form(n))
    assert caught.value.param == "n"


@pytest.mark.parametrize("name", [b"n", b"N", b"model"])
def test_a_field_that_governs_is_no_file(name: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.IMAGE_EDITS, make_form(b"10", b'form-data; name="%b"; filename=""' % name))
    assert caught.value.param == name.decode()


@pytest.mark.parametrize("name", [b"url", b"URL"])
def test_sound_that_is_elsewhere_is_refused_whatever_stands_beside_it(name: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(
            Endpoint.TRANSCRIPTIONS, make_form(b"https://sounds.example/long", b'form-data; name="%b"' % name)
        )
    assert caught.value.param == name.decode()


def test_a_moderation_that_names_no_model_is_of_openais_usual_one() -> None:
    assert parse_request(Endpoint.MODERATIONS, b'{"input": "Hi"}').model == "omni-moderation-latest"
    assert parse_request(Endpoint.MODERATIONS, b'{"input": "Hi", "model": "mine"}').model == "mine"
    for given in (b'""', b"7"):
        with pytest.raises(InvalidRequest) as caught:
            parse_request(Endpoint.MODERATIONS, b'{"input": "Hi", "model": %b}' % given)
        assert caught.value.param == "model"
