"""`manage.py create_api_key`: prints a key once, and one line when something is wrong."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tests.factories import MembershipFactory, UserFactory, WorkspaceFactory
from webapp.accounts import services
from webapp.accounts.models import ApiKey
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db


def create_api_key(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_api_key", *arguments, stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create(workspace__slug="studio")


def test_the_printed_key_works_for_the_first_owner(owner: Membership) -> None:
    key = services.authenticate_key(
        create_api_key("--workspace", "studio", "--name", "cli", "--scopes", "read,generate")
    )
    assert key is not None
    assert (key.user, key.workspace, key.name, key.scopes) == (owner.user, owner.workspace, "cli", ["read", "generate"])


def test_the_key_can_be_made_for_another_member(owner: Membership) -> None:
    viewer = MembershipFactory.create(workspace=owner.workspace, role=Membership.Role.VIEWER)
    raw_key = create_api_key(
        "--workspace", "studio", "--name", "v", "--scopes", "read", "--user", viewer.user.email.upper()
    )
    key = services.authenticate_key(raw_key)
    assert key is not None
    assert (key.user, key.scopes) == (viewer.user, ["read"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workspace", "nowhere", "--name", "cli"], "There is no workspace 'nowhere'; there are: empty, studio."),
        (["--workspace", "studio", "--name", "cli", "--scopes", "read,fly"], "scopes: there is no scope 'fly'"),
        (["--workspace", "studio", "--name", "taken"], "There is already a key named 'taken' here."),
        (["--workspace", "studio", "--name", " "], "name: a key needs a name"),
        (["--workspace", "studio", "--name", "cli", "--user", "stranger@example.org"], "is no member of studio"),
        (["--workspace", "studio", "--name", "cli", "--user", "nobody@example.org"], "is no member of studio"),
        (["--workspace", "empty", "--name", "cli"], "empty has no owner"),
    ],
)
def test_a_mistake_gets_one_line_and_makes_no_key(owner: Membership, arguments: list[str], words: str) -> None:
    WorkspaceFactory.create(slug="empty")
    UserFactory.create(email="stranger@example.org")
    create_api_key("--workspace", "studio", "--name", "taken")
    with pytest.raises(CommandError) as refused:
        create_api_key(*arguments)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "command", ["create_api_key --workspace studio --name x", "block_term --workspace studio --list", "bootstrap"]
)
@pytest.mark.parametrize("is_empty_database_there", [False, True])
def test_before_the_first_start_one_line_says_so(tmp_path: Path, command: str, is_empty_database_there: bool) -> None:
    folder = tmp_path / "elsewhere"
    if is_empty_database_there:
        folder.mkdir()
        (folder / "tessera.sqlite3").touch()
    environment = {name: value for name, value in os.environ.items() if name != "TESSERA_DATABASE_URL"}
    ended = subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        cwd=settings.BASE_DIR,
        env=environment | {"TESSERA_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"CommandError: Nothing has been started in {folder} yet: run `make up` first")
    assert ended.stderr.count("\n") == 1
    assert folder.exists() == is_empty_database_there
