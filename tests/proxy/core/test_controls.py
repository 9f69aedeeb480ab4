"""Our request headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.money import MAX_LIMIT_NANOS, format_usd
from proxy.core.controls import parse_controls
from proxy.errors import InvalidRequest
from proxy.values.request import Controls


def test_nothing_asked_is_nothing() -> None:
    assert parse_controls({}) == Controls()
    assert parse_controls({"x-costhub-tags": "", "x-costhub-user": "", "idempotency-key": ""}) == Controls()
    assert parse_controls({"user-agent": "ada", "x-costhub-unknown": "x"}) == Controls()


def test_everything_asked() -> None:
    controls = parse_controls(
        {
            "x-costhub-tags": "team=search, feature = x,a=b=c",
            "x-costhub-user": "ben",
            "x-costhub-max-cost": " 0.05 ",
            "idempotency-key": "k" * 255,
            "x-costhub-session": "run 7",
        }
    )
    assert controls.session == "run 7"
    assert controls.tags == {"team": "search", "feature": "x", "a": "b=c"}
    assert (controls.end_user, controls.max_cost, controls.idempotency_key) == ("ben", 50_000_000, "k" * 255)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(
            ("x-costhub-tags", value)
            for value in [
                *("team", "=x", "team=", "= ", "=", ",", "a=b,", "a=b,,c=d", "a=b\x00", "a=\x9b", "a=b\u202e"),
                "a=" + "b" * 65,
                "a" * 65 + "=b",
                ",".join(f"t{number}=x" for number in range(17)),
            ]
        ),
        *(("x-costhub-user", value) for value in ["x" * 201, "a\nb", "a\x00", "a\x7f", "a\u2028b"]),
        *(
            ("x-costhub-max-cost", value)
            for value in [
                *("free", "-1", "0", "0.0000000001", "NaN", "Infinity", "-Infinity", "1e400", "1,5", "$1", "0x10"),
                "9000000.000000001",
                "1e12",
                "1" * 4000,
            ]
        ),
        ("idempotency-key", "k" * 256),
        *(("x-costhub-session", value) for value in ["x" * 201, "a\nb", "a\x00"]),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(header: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_controls({header: value})
    assert caught.value.status == 400
    assert caught.value.param is not None
    assert caught.value.param.lower() == header
    assert header in caught.value.message.lower()


def test_the_limits_themselves_are_allowed() -> None:
    tags = ",".join(f"{'t' * 62}{number:02d}={'v' * 64}" for number in range(16))
    assert len(parse_controls({"x-costhub-tags": tags}).tags) == 16
    assert parse_controls({"x-costhub-user": "\u00e9" * 200}).end_user == "\u00e9" * 200
    assert parse_controls({"x-costhub-max-cost": "9000000"}).max_cost == MAX_LIMIT_NANOS
    assert parse_controls({"x-costhub-max-cost": "0.000000001"}).max_cost == 1


def test_too_much_is_not_called_too_little() -> None:
    with pytest.raises(InvalidRequest, match="at most 9000000"):
        parse_controls({"x-costhub-max-cost": "9000001"})


@given(st.integers(1, MAX_LIMIT_NANOS))
def test_every_amount_up_to_the_limit_is_read_to_the_nano(nanos: int) -> None:
    assert parse_controls({"x-costhub-max-cost": format_usd(nanos)}).max_cost == nanos


@pytest.mark.parametrize(
    ("lines", "tags"),
    [
        (["team=search", "env=prod"], {"team": "search", "env": "prod"}),
        (["team=search, env=prod", "a=b"], {"team": "search", "env": "prod", "a": "b"}),
        (["team=search", "team=search"], {"team": "search"}),
    ],
)
def test_several_lines_of_tags_are_one_list(lines: list[str], tags: dict[str, str]) -> None:
    assert parse_controls({"x-costhub-tags": lines[-1]}, {"x-costhub-tags": lines}).tags == tags


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["team=search", "team=sales"], "gives team two values"),
        (["team=search,team=sales"], "gives team two values"),
        (["team=search", ""], "must be name=value pairs"),
        (["team=search", "broken"], "must be name=value pairs"),
        ([f"t{number}=x" for number in range(17)], "holds 17 tags"),
    ],
)
def test_tags_that_cannot_be_one_list_are_refused(lines: list[str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        parse_controls({"x-costhub-tags": lines[-1]}, {"x-costhub-tags": lines} if len(lines) > 1 else {})
    assert caught.value.param == "x-costhub-tags"


@pytest.mark.parametrize("name", ["x-costhub-user", "x-costhub-max-cost", "idempotency-key", "x-costhub-session"])
def test_what_a_call_has_one_of_stands_there_once_or_says_the_same(name: str) -> None:
    assert parse_controls({name: "2"}, {name: ["2", "2"]}) == parse_controls({name: "2"})
    for lines in (["1", "2"], ["2", "1", "2"], ["", "2"]):
        with pytest.raises(InvalidRequest, match="different values") as caught:
            parse_controls({name: lines[-1]}, {name: lines})
        assert (caught.value.status, caught.value.param) == (400, name)


@pytest.mark.parametrize("value", ["1e999999999", "-1e999999999", "1e-999999999", "9e99999", "1e13"])
def test_an_absurd_amount_is_a_bad_request(value: str) -> None:
    with pytest.raises(InvalidRequest, match="x-costhub-max-cost"):
        parse_controls({"x-costhub-max-cost": value})
