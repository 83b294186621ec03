"""Verdicts are kept as given; terms are added, changed and removed, by code and by command."""

import io

import pytest
from django.core.management import CommandError, call_command

from tests.factories import ArtifactFactory, JobFactory, WorkspaceFactory
from webapp.errors import AppError
from webapp.safety import services
from webapp.safety.models import BlockedTerm, Verdict
from webapp.safety.rules import ScreenResult

pytestmark = pytest.mark.django_db


def test_verdicts_of_a_job_and_of_an_artifact_are_kept() -> None:
    job = JobFactory.create()
    artifact = ArtifactFactory.create(job=job, verdict=None)
    results = [
        ScreenResult("allow", "rules", "1/ab", "prompt"),
        ScreenResult("review", "rules", "1/ab", "output", ["quiet"]),
    ]
    services.record(job.id, results[:1])
    services.record(job.id, results, artifact_id=artifact.id)
    assert Verdict.objects.filter(job=job, artifact=None).count() == 1
    kept = Verdict.objects.filter(artifact=artifact).order_by("stage")
    assert [(verdict.stage, verdict.action, verdict.matched) for verdict in kept] == [
        ("output", "review", ["quiet"]),
        ("prompt", "allow", []),
    ]


def test_setting_a_term_again_changes_its_action() -> None:
    workspace = WorkspaceFactory.create()
    services.set_term(workspace.id, "  two   words ", "block")
    services.set_term(workspace.id, "two words", "review")
    assert list(BlockedTerm.objects.values_list("term", "action")) == [("two words", "review")]
    assert services.remove_term(workspace.id, "two words")
    assert not services.remove_term(workspace.id, "two words")


@pytest.mark.parametrize(
    ("term", "action", "field"),
    [
        ("", "block", "term"),
        ("\u200b", "block", "term"),
        ("x" * 201, "block", "term"),
        ("a\x00b", "block", "term"),
        ("\ud800", "block", "term"),
        ("word", "shout", "action"),
    ],
)
def test_a_wrong_term_is_refused_by_field(term: str, action: str, field: str) -> None:
    workspace = WorkspaceFactory.create()
    with pytest.raises(AppError) as caught:
        services.set_term(workspace.id, term, action)
    assert caught.value.code == "invalid_request"
    assert caught.value.problems[0]["field"] == field
    assert caught.value.problems[0]["allowed"]
    assert not BlockedTerm.objects.exists()


def test_the_command_adds_changes_and_removes() -> None:
    workspace = WorkspaceFactory.create(slug="studio")
    out = io.StringIO()
    call_command("block_term", workspace="studio", term="quiet", action="review", stdout=out)
    assert "review on 'quiet'" in out.getvalue()
    assert BlockedTerm.objects.get(workspace=workspace).action == "review"
    listed = io.StringIO()
    call_command("block_term", "--workspace", "studio", "--list", stdout=listed)
    assert listed.getvalue() == "review\tquiet\n"
    call_command("block_term", "--workspace", "studio", "--term", "quiet", "--remove", stdout=out)
    assert not BlockedTerm.objects.exists()
    with pytest.raises(CommandError, match="not on the list"):
        call_command("block_term", "--workspace", "studio", "--term", "quiet", "--remove")
    with pytest.raises(CommandError, match="no workspace"):
        call_command("block_term", workspace="nowhere", term="quiet")
    with pytest.raises(CommandError, match="visible"):
        call_command("block_term", workspace="studio", term="\u200b")
