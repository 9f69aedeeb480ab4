import pytest

from costhub.lib.errors import InvalidField
from costhub.lib.origins import Target, check_same_origin, parse_origin, parse_url
from tests.lib.net_hostile import UNREADABLE


@pytest.mark.parametrize(
    ("url", "target", "origin"),
    [
        ("https://api.openai.com/v1", Target("https", "api.openai.com", 443, "/v1"), "https://api.openai.com:443"),
        ("HTTPS://API.OpenAI.com/v1/", Target("https", "api.openai.com", 443, "/v1"), "https://api.openai.com:443"),
        ("https://api.openai.com", Target("https", "api.openai.com", 443), "https://api.openai.com:443"),
        ("http://vllm:8000/v1", Target("http", "vllm", 8000, "/v1"), "http://vllm:8000"),
        ("http://10.1.2.3", Target("http", "10.1.2.3", 80), "http://10.1.2.3:80"),
        ("http://[::1]:8081/v1", Target("http", "::1", 8081, "/v1"), "http://[::1]:8081"),
        ("https://[2001:DB8:0:0::0:1]", Target("https", "2001:db8::1", 443), "https://[2001:db8::1]:443"),
        ("https://bücher.example", Target("https", "xn--bcher-kva.example", 443), "https://xn--bcher-kva.example:443"),
        ("https://faß.example", Target("https", "xn--fa-hia.example", 443), "https://xn--fa-hia.example:443"),
        (
            "https://r3---sn-ab.example.com",
            Target("https", "r3---sn-ab.example.com", 443),
            "https://r3---sn-ab.example.com:443",
        ),
        ("https://x.example/a%20b/~c", Target("https", "x.example", 443, "/a%20b/~c"), "https://x.example:443"),
        ("https://3com.example:65535", Target("https", "3com.example", 65535), "https://3com.example:65535"),
    ],
)
def test_a_plain_base_url_is_read(url: str, target: Target, origin: str) -> None:
    assert parse_origin(url) == target
    assert parse_origin(url).origin == origin


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_needs_guessing_is_refused(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_origin(url.replace("{port}", "8080"))
    assert caught.value.field == "base_url"
    assert caught.value.message.endswith((".", "https://api.example.com/v1"))


def test_a_base_url_may_name_the_version_of_an_api_and_nothing_else_in_its_query() -> None:
    url = "https://acme.openai.azure.com/openai/deployments?api-version=2024-10-21"
    read = parse_origin(url)
    assert read == Target("https", "acme.openai.azure.com", 443, "/openai/deployments", "api-version=2024-10-21")
    assert read.url("/gpt/embeddings") == (
        "https://acme.openai.azure.com:443/openai/deployments/gpt/embeddings?api-version=2024-10-21"
    )
    for query in ("", "api-version=", "api-version=1&x=2", "x=api-version=1", "api-version=1/../2", "API-VERSION=1"):
        with pytest.raises(InvalidField, match="has no query, but for"):
            parse_origin(f"https://acme.openai.azure.com/openai?{query}")


def test_a_webhook_keeps_its_query_and_its_last_slash() -> None:
    assert parse_url("https://hooks.example/a/?token=x&b=/?[1]") == Target(
        "https", "hooks.example", 443, "/a/", "token=x&b=/?[1]"
    )


@pytest.mark.parametrize(
    "url", ["https://hooks.example/a?b#c", 'https://hooks.example/?"', "https://hooks.example/?<é>"]
)
def test_a_webhook_with_an_unclear_query_is_refused(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_url(url)
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("", "https://api.example:443/v1"),
        ("/chat/completions", "https://api.example:443/v1/chat/completions"),
        ("//evil.example/", "https://api.example:443/v1//evil.example/"),
        ("/@evil.example", "https://api.example:443/v1/@evil.example"),
    ],
)
def test_a_path_cannot_leave_the_origin(path: str, url: str) -> None:
    assert parse_origin("https://api.example/v1").url(path) == url


@pytest.mark.parametrize("path", ["0/", "@evil.example/", ".evil.example/", "models"])
def test_a_path_that_could_continue_the_host_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="must start with a slash"):
        parse_origin("https://api.example").url(path)


@pytest.mark.parametrize(
    "url", ["https://api.acme.example/v2", "https://API.acme.example:443/", "https://api.acme.example"]
)
def test_a_credential_stays_within_its_origin(url: str) -> None:
    check_same_origin("https://api.acme.example:443", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.acme.example:443",
        "https://api.acme.example:8443",
        "https://api.mallcorp.example",
        "https://api.acme.example.mallcorp.example",
    ],
)
def test_a_credential_is_asked_for_again_when_the_origin_changes(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_same_origin("https://api.acme.example:443", url)
    assert caught.value.field == "credential"
    assert caught.value.message == (
        f"The stored credential was given for https://api.acme.example:443 and is never sent to {parse_origin(url).origin}: "
        "enter the credential again for the new URL."
    )


def test_a_url_that_cannot_be_read_is_the_urls_fault_not_the_credentials() -> None:
    with pytest.raises(InvalidField) as caught:
        check_same_origin("https://api.acme.example:443", "https://api.acme.example@mallcorp.example")
    assert caught.value.field == "base_url"
