"""Members of some projects: the pages that they may open, what they find and make there, and how they are made."""

import re

import pytest

from tenants.access import org_scope
from tenants.actions.keys import create_key, revoke_key
from tenants.actions.orgs import add_member
from tenants.actions.projects import create_project, update_project
from tenants.choices import Role
from tenants.models import ApiKey, Membership, Project
from tests.console.client import Visit, error_of, rows_of, text_of
from tests.world import World, make_catalog

KEYS = "/o/acme/keys"


@pytest.fixture
def search(world: World) -> Project:
    """A project in which Pia and Vic are nobody, with a key of its own."""
    make_catalog(world.acme)
    with org_scope(world.acme.org.pk):
        project = create_project(actor=world.acme.owner, name="search")
        create_key(actor=world.acme.owner, name="theirs", project=project)
    return project


def join(world: World, name: str, role: Role) -> Visit:
    """A member of Acme's first project alone."""
    with org_scope(world.acme.org.pk):
        email, where = f"{name}@acme.example", [world.acme.project.name]
        return Visit(add_member(actor=world.acme.owner, email=email, role=role, projects=where).user)


def links_of(visit: Visit, path: str) -> list[str]:
    """Where the navigation of a page leads."""
    nav = re.search(r'<nav id="pages".*?</nav>', visit.get(path).content.decode(), re.DOTALL)
    assert nav is not None
    return re.findall(r'href="([^"]+)"', nav[0])


def theirs_of(world: World) -> ApiKey:
    with org_scope(world.acme.org.pk):
        return ApiKey.objects.get(org=world.acme.org, name="theirs")


def test_the_navigation_leads_to_what_they_may_open_and_nowhere_else(world: World, search: Project) -> None:
    pia = join(world, "pia", Role.DEVELOPER)
    page = "/o/acme/welcome"
    assert pia.get("/").headers["Location"] == page
    assert links_of(pia, page) == [KEYS, "/o/acme/projects", "/o/acme/api-reference"]
    for path in links_of(pia, page):
        assert pia.get(path).status_code == 200, path
        html = pia.get(path).content.decode()
        assert html.count(f'href="{page}"') == 2, "the name of the product and of the organisation lead back"
    assert pia.get("/o/acme/upstreams").status_code == 403
    found = text_of(pia.get("/o/acme/find?q=s"))
    assert ("first key Key" in text_of(pia.get("/o/acme/find?q=first")), "search" in found, "small" in found) == (
        True,
        False,
        False,
    )


def test_a_developer_makes_changes_rotates_and_ends_keys_of_their_projects(world: World, search: Project) -> None:
    pia = join(world, "pia", Role.DEVELOPER)
    assert [row.split()[0] for row in rows_of(pia.get(KEYS))] == ["first"]
    assert "New key" in text_of(pia.get(KEYS))
    form = pia.get(f"{KEYS}/new").content.decode()
    assert (">default<" in form, ">search<" in form) == (True, False)
    made = pia.submit(f"{KEYS}/new", name="mine", models=["small"])
    assert 'id="secret"' in made.content.decode()
    with org_scope(world.acme.org.pk):
        mine = ApiKey.objects.get(org=world.acme.org, name="mine")
    assert (mine.project_id, mine.created_by, mine.allowed_models) == (
        world.acme.project.pk,
        "pia@acme.example",
        ["small"],
    )
    assert pia.submit(f"{KEYS}/{mine.pk}", name="ours").status_code == 302
    rotated = pia.post(f"{KEYS}/{mine.pk}/rotate", {"grace_seconds": "0"})
    assert 'id="secret"' in rotated.content.decode()
    first = world.acme.key
    pia.post(f"{KEYS}/{first.pk}/revoke", {"confirm": first.name})
    assert "revoked" in text_of(pia.get(f"{KEYS}/{first.pk}"))
    # Stopping is about money, which is nobody's for a project.
    assert pia.post(f"{KEYS}/{mine.pk}/stop").status_code == 403


def test_what_is_in_another_project_is_not_there(world: World, search: Project) -> None:
    pia, theirs = join(world, "pia", Role.DEVELOPER), theirs_of(world)
    for path in (f"{KEYS}/{theirs.pk}", f"/o/acme/projects/{search.pk}", f"{KEYS}?project={search.pk}"):
        assert pia.get(path).status_code == 404, path
    assert pia.post(f"{KEYS}/{theirs.pk}", {"name": "x"}).status_code == 404
    assert pia.post(f"{KEYS}/{theirs.pk}/rotate", {"grace_seconds": "0"}).status_code == 404
    assert pia.post(f"{KEYS}/{theirs.pk}/revoke", {"confirm": "theirs"}).status_code == 404
    refused = pia.post(f"{KEYS}/new", {"name": "x", "project": str(search.pk)})
    assert (refused.status_code, error_of(refused)) == (404, "There is no such project.")
    with org_scope(world.acme.org.pk):
        assert list(ApiKey.objects.filter(org=world.acme.org, project=search).values_list("name", "revoked_at")) == [
            ("theirs", None)
        ]


def test_projects_show_those_alone_and_no_money(world: World, search: Project) -> None:
    pia = join(world, "pia", Role.DEVELOPER)
    (row,) = rows_of(pia.get("/o/acme/projects"))
    assert row.startswith("default 1 – – ")
    page = f"/o/acme/projects/{world.acme.project.pk}"
    assert f'href="{KEYS}/new?project={world.acme.project.pk}"' in pia.get(page).content.decode()
    assert pia.post(page, {"name": "mine"}).status_code == 403


def test_a_viewer_of_a_project_looks_and_changes_nothing(world: World, search: Project) -> None:
    vic, key = join(world, "vic", Role.VIEWER), world.acme.key
    assert [row.split()[0] for row in rows_of(vic.get(KEYS))] == ["first"]
    for path in (KEYS, f"/o/acme/projects/{world.acme.project.pk}", "/o/acme/welcome"):
        assert f'href="{KEYS}/new' not in vic.get(path).content.decode(), path
    page = vic.get(f"{KEYS}/{key.pk}")
    assert (page.status_code, 'class="card form"' in page.content.decode()) == (200, False)
    assert vic.get(f"{KEYS}/new").status_code == 403
    for path in (f"{KEYS}/new", f"{KEYS}/{key.pk}", f"{KEYS}/{key.pk}/rotate", f"{KEYS}/{key.pk}/revoke"):
        assert vic.post(path, {"name": "x", "confirm": key.name, "grace_seconds": "0"}).status_code == 403, path


def test_without_a_key_the_first_steps_lead_to_its_form(world: World) -> None:
    pia = join(world, "pia", Role.DEVELOPER)
    with org_scope(world.acme.org.pk):
        ApiKey.objects.filter(org=world.acme.org).delete()
    html = pia.get("/o/acme/welcome").content.decode()
    assert (f'href="{KEYS}/new?step=yes"' in html, 'href="/o/acme/upstreams/new"' in html) == (True, False)


def test_where_a_role_holds_is_set_when_a_member_is_added_and_later(world: World, search: Project) -> None:
    ada = Visit(world.ada)
    first, other = str(world.acme.project.pk), str(search.pk)
    wrong = ada.submit("/o/acme/members/new", email="pia@acme.example", role="finance", projects=[first])
    assert (wrong.status_code, "acts in the whole organisation" in error_of(wrong)) == (400, True)
    typed = {"email": "pia@acme.example", "role": "developer", "projects": [first, other]}
    assert ada.submit("/o/acme/members/new", **typed).status_code == 302
    assert "pia@acme.example developer 2 projects" in " ".join(rows_of(ada.get("/o/acme/members")))

    def where() -> list[str]:
        with org_scope(world.acme.org.pk):
            row = Membership.objects.get(org=world.acme.org, user__email="pia@acme.example")
        return sorted(str(project) for project in row.projects)

    with org_scope(world.acme.org.pk):
        page = f"/o/acme/members/{Membership.objects.get(user__email='pia@acme.example').pk}"
        # What is put away stays theirs until somebody takes the tick away.
        revoke_key(actor=world.acme.owner, key=ApiKey.objects.get(name="theirs"))
        update_project(actor=world.acme.owner, project=search, is_archived=True)
    assert ada.submit(page, role="viewer").status_code == 302
    assert where() == sorted([first, other])
    assert ada.submit(page, projects=[first]).status_code == 302
    assert where() == [first]
    assert ada.submit(page, projects=None).status_code == 302
    assert where() == []
