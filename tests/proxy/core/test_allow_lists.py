"""From where a key may be used, and for which paths."""

from dataclasses import replace

import pytest

from proxy.core.allow_lists import check_may_call
from proxy.errors import NotAllowed
from tests.proxy.core.examples import KEY

CHAT = "/v1/chat/completions"
OFFICE = replace(KEY, networks=("10.1.0.0/16", "2001:db8::/32"))
CHATTER = replace(KEY, endpoints=(CHAT, "/v1/batches"))


def test_a_key_without_lists_is_good_everywhere() -> None:
    check_may_call(KEY, "/v1/anything", "nowhere")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1::9"])
def test_an_address_of_its_networks_is_good(address: str) -> None:
    check_may_call(OFFICE, CHAT, address)


@pytest.mark.parametrize("address", ["10.2.0.1", "::1", "::ffff:10.2.0.1", "", "10.1.2.3, 10.1.2.3", "10.1.2", "é"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        check_may_call(OFFICE, CHAT, address)
    assert (caught.value.error_code, caught.value.status) == ("address_not_allowed", 403)


@pytest.mark.parametrize("path", [CHAT, "/v1/batches", "/v1/batches/b1/cancel"])
def test_its_paths_and_all_below_them_are_good(path: str) -> None:
    check_may_call(CHATTER, path, "")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/chat", "/v1/chat/completionsx", "/v1/batchesx", "/v1/models"])
def test_another_path_is_refused(path: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        check_may_call(CHATTER, path, "")
    assert (caught.value.error_code, caught.value.status) == ("endpoint_not_allowed", 403)
    assert "only for /v1/chat/completions, /v1/batches" in caught.value.message
