"""/routes and /compression-policies."""

import pytest

from tests.tenants.route_examples import make_models
from tests.world import Api, World


@pytest.fixture
def api(world: World) -> Api:
    make_models(world.acme)
    return Api(token=world.acme.admin_token)


def test_a_route_from_its_making_to_its_versions(api: Api) -> None:
    made = api.post(
        "/routes",
        {
            "name": "cheap-first",
            "kind": "cascade",
            "mode": "on",
            "targets": [{"model": "small"}, {"model": "large"}],
            "answer_worth": "0.05",
        },
    )
    assert made.status_code == 201
    body = made.json()
    assert body["policy"]["answer_worth"] == "0.050000000"
    assert body["policy"]["baseline"] == "large"
    path = f"/routes/{body['id']}"
    changed = api.patch(path, {"mode": "shadow", "confidence_percent": 90})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    versions = api.get(f"{path}/versions").json()["data"]
    assert [version["number"] for version in versions] == [2, 1]
    assert versions[0]["changed"] == {"mode": ["on", "shadow"], "confidence_percent": [80, 90]}
    assert versions[1]["changed"] == {}
    back = api.post(f"{path}/rollback", {"number": 1}).json()
    assert (back["version"], back["mode"], back["policy"]["confidence_percent"]) == (3, "on", 80)
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"targets": [{"model": "small", "when": {"weather": "fine"}}]}, "targets"),
        ({"targets": [{"model": 7}]}, "targets"),
        ({"targets": ["small"]}, "targets"),
        ({"targets": "small"}, "targets"),
        ({"kind": "magic"}, "kind"),
        ({"mode": "maybe"}, "mode"),
        ({"name": "two words"}, "name"),
        ({"colour": "red"}, "colour"),
        ({"kind": "router", "targets": [{"model": "small"}, {"model": "large"}], "answer_worth": "-1"}, "answer_worth"),
    ],
)
def test_bad_bodies_name_the_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = api.post("/routes", {"name": "r", "kind": "fixed", "mode": "on", "targets": [{"model": "small"}]} | body)
    assert answer.status_code in {400, 422}
    assert field in answer.content.decode()


def test_a_compression_policy_is_made_changed_and_taken_away(api: Api) -> None:
    made = api.post("/compression-policies", {"mode": "on", "methods": ["lossless", "filler"]})
    assert (made.status_code, made.json()["methods"]) == (201, ["lossless", "filler"])
    path = f"/compression-policies/{made.json()['id']}"
    assert api.patch(path, {"mode": "shadow"}).json()["mode"] == "shadow"
    assert api.post("/compression-policies", {"mode": "on"}).status_code == 409
    assert api.post("/compression-policies", {"mode": "on", "methods": ["zip"], "model": "small"}).status_code == 400
    assert api.delete(path).status_code == 204


def test_shorter_words_for_a_system_prompt_are_previewed_kept_approved_and_retired(api: Api) -> None:
    original = "You are a helper. We are so glad. Always answer in French."
    shown = api.post("/system-prompt-preview", {"text": original})
    assert (shown.status_code, shown.json()["dropped"]) == (200, ["We are so glad."])
    assert shown.json()["tokens_after"] < shown.json()["tokens_before"]
    made = api.post("/system-prompts", {"original": original, "shorter": shown.json()["text"]})
    assert (made.status_code, made.json()["state"], made.json()["number"]) == (201, "proposed", 1)
    path = f"/system-prompts/{made.json()['id']}"
    assert api.post(f"{path}/approve", {}).json()["state"] == "approved"
    assert api.post(f"{path}/retire", {}).json()["state"] == "retired"
    assert api.get("/system-prompts").json()["data"][0]["state"] == "retired"
    assert api.post("/system-prompts", {"original": original}).status_code == 400
