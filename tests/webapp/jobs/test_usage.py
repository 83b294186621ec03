"""What a workspace's jobs have cost: the sum, its period, and CO2 by the grid that is named."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from genworkers.contract.energy import Energy
from tests.factories import JobFactory, MembershipFactory
from tests.webapp.api.callers import keyed
from webapp.jobs import services
from webapp.jobs.models import Job
from webapp.jobs.usage import usage_of
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create(workspace__slug="studio")


def job_of(owner: Membership, joules: float, source: str = "estimate", *, days_ago: float = 0, **fields: Any) -> Job:
    job: Job = JobFactory.create(
        workspace=owner.workspace, energy_j=joules, energy_source=source if joules else "", **fields
    )
    Job.objects.filter(id=job.id).update(created_at=timezone.now() - timedelta(days=days_ago))
    return job


def test_a_job_is_put_down_what_every_attempt_has_spent() -> None:
    job = JobFactory.create(status="running")
    for _ in range(2):
        services.account(job, Energy(joules=1.5, source="rapl"))
    job.refresh_from_db()
    assert (job.energy_j, job.energy_source) == (3.0, "rapl")


def test_the_sum_is_of_this_workspace_and_of_thirty_days_however_the_jobs_ended(owner: Membership) -> None:
    job_of(owner, 1000.0, status="succeeded")
    job_of(owner, 500.0, "rapl", status="cancelled", days_ago=29)
    job_of(owner, 9000.0, days_ago=31)
    job_of(owner, 0.0)
    job_of(MembershipFactory.create(), 9000.0)
    usage = usage_of(owner.workspace)
    assert (usage.num_jobs, usage.joules, usage.joules_of) == (2, 1500.0, {"estimate": 1000.0, "rapl": 500.0})


def test_the_api_tells_energy_and_co2_by_the_grid_that_is_named(owner: Membership, settings: Any) -> None:
    settings.GRID_G_PER_KWH, settings.GRID_NAME = 100.0, "our own roof"
    job_of(owner, 3.6e6)
    assert keyed(owner).get("/api/v1/usage").json() == {
        "workspace": "studio",
        "period_days": 30,
        "num_jobs": 1,
        "energy_j": 3.6e6,
        "energy_j_of": {"estimate": 3.6e6},
        "co2_g": 100.0,
        "grid": {"name": "our own roof", "g_per_kwh": 100.0},
    }
    settings.GRID_G_PER_KWH = 0.0
    told = keyed(owner).get("/api/v1/usage").json()
    assert (told["co2_g"], told["grid"]) == (None, None)


def test_a_job_tells_its_energy_once_a_worker_has_spent_some(owner: Membership) -> None:
    waiting, ended = job_of(owner, 0.0), job_of(owner, 12.5, status="succeeded")
    told = [keyed(owner).get(f"/api/v1/jobs/{job.id}").json()["energy"] for job in (waiting, ended)]
    assert told == [None, {"joules": 12.5, "source": "estimate"}]
