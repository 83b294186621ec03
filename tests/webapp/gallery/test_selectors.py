"""Who sees what: the gallery's list, one artifact for one viewer, and how many queries that takes."""

import uuid

import pytest
from django.contrib.auth.models import AnonymousUser
from pytest_django import DjangoAssertNumQueries

from tests.factories import ArtifactFactory, JobFactory, MembershipFactory, UserFactory, WorkspaceFactory
from webapp.gallery import selectors
from webapp.gallery.models import Artifact
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db


def artifact_with(prompt: str, **fields: object) -> Artifact:
    """An artifact of a job with this prompt."""
    job = JobFactory.create(prompt=prompt, status="succeeded", **fields)
    artifact: Artifact = ArtifactFactory.create(job=job)
    return artifact


def test_the_gallery_is_newest_first_without_held_and_foreign_ones() -> None:
    workspace = WorkspaceFactory.create()
    first, second = artifact_with("a", workspace=workspace), artifact_with("b", workspace=workspace)
    artifact_with("elsewhere")
    held = artifact_with("c", workspace=workspace)
    Artifact.objects.filter(id=held.id).update(status=Artifact.Status.HELD)
    assert list(selectors.artifacts_of(workspace)) == [second, first]


def test_kinds_are_told_apart() -> None:
    workspace = WorkspaceFactory.create()
    text, image = artifact_with("a", workspace=workspace), artifact_with("b", workspace=workspace, kind="image")
    assert list(selectors.artifacts_of(workspace, kind="text")) == [text]
    assert list(selectors.artifacts_of(workspace, kind="image")) == [image]
    assert list(selectors.artifacts_of(workspace, kind="sound")) == []


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("", True),
        ("  ", True),
        ("RED", True),
        ("apple red", True),
        ("ppl", True),
        ("äpfel", True),
        ("ÄPFEL", True),
        ("50%", True),
        ("5_%", False),
        ("red pear", False),
        ("red\x00", True),
        ("x" * 10_000, False),
        ("' OR 1=1 --", False),
    ],
)
def test_every_word_must_stand_in_the_prompt(query: str, is_found: bool) -> None:
    artifact = artifact_with("A Red apple, 50% of the Äpfel")
    assert list(selectors.artifacts_of(artifact.workspace, query=query)) == ([artifact] if is_found else [])


def test_a_page_takes_the_same_few_queries_however_long(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    workspace = WorkspaceFactory.create()
    for number in range(6):
        artifact_with(f"prompt {number}", workspace=workspace)
    with django_assert_num_queries(3):
        for artifact in selectors.artifacts_of(workspace):
            assert artifact.created_by.username
            assert artifact.mark.scheme == "none"
            original = selectors.file_of(artifact, "original")
            assert original is not None
            assert original.credential.issuer
            assert [verdict.action for verdict in artifact.verdicts.all()] == ["allow"]


@pytest.mark.parametrize("role", Membership.Role.values)
def test_members_see_what_is_kept_and_reviewers_what_is_held(role: str) -> None:
    artifact = artifact_with("a")
    member = MembershipFactory.create(workspace=artifact.workspace, role=role).user
    assert selectors.artifact_for_viewer(member, artifact.id) == artifact
    Artifact.objects.filter(id=artifact.id).update(status=Artifact.Status.HELD)
    seen = selectors.artifact_for_viewer(member, artifact.id)
    assert (seen == artifact) is (role in ("owner", "reviewer"))


def test_a_stranger_sees_nothing() -> None:
    artifact = artifact_with("a")
    MembershipFactory.create(workspace=artifact.workspace, role="owner")
    stranger = MembershipFactory.create(role="owner").user
    Artifact.objects.filter(id=artifact.id).update(status=Artifact.Status.HELD)
    for somebody in (stranger, UserFactory.create(), AnonymousUser()):
        assert selectors.artifact_for_viewer(somebody, artifact.id) is None
    assert selectors.artifact_for_viewer(stranger, uuid.uuid4()) is None


def test_a_reviewer_elsewhere_does_not_review_here() -> None:
    artifact = artifact_with("a")
    viewer = MembershipFactory.create(workspace=artifact.workspace, role="viewer").user
    MembershipFactory.create(user=viewer, role="reviewer")
    Artifact.objects.filter(id=artifact.id).update(status=Artifact.Status.HELD)
    assert selectors.artifact_for_viewer(viewer, artifact.id) is None


def test_a_missing_file_is_named() -> None:
    artifact = artifact_with("a")
    with pytest.raises(FileNotFoundError, match="has no thumbnail"):
        selectors.open_file(artifact, "thumbnail")
