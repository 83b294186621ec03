"""What a workspace's jobs have cost in energy lately, and in CO2 by the grid that the operator names."""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.conf import settings
from django.db.models import Count, Sum
from django.utils import timezone

from genworkers.contract.energy import JOULES_PER_KWH, EnergySource
from webapp.jobs.models import Job
from webapp.workspaces.models import Workspace

PERIOD_DAYS = 30


@dataclass(frozen=True)
class Usage:
    """Energy of the last PERIOD_DAYS.

    Args:
        num_jobs: those whose energy is known; a draft counts until it is removed.
        joules_of: by how it is known.
        co2_g: None where the operator has named no grid.
    """

    num_jobs: int
    joules_of: dict[EnergySource, float]
    co2_g: float | None

    @property
    def joules(self) -> float:
        """All together."""
        return sum(self.joules_of.values())


def usage_of(workspace: Workspace) -> Usage:
    """The energy of this workspace's jobs, those that failed or were cancelled included."""
    since = timezone.now() - timedelta(days=PERIOD_DAYS)
    known = Job.objects.filter(workspace=workspace, created_at__gte=since).exclude(energy_source="").order_by()
    rows = known.values("energy_source").annotate(num_jobs=Count("id"), joules=Sum("energy_j"))
    joules_of: dict[EnergySource, float] = {cast(EnergySource, row["energy_source"]): row["joules"] for row in rows}
    grid = settings.GRID_G_PER_KWH
    return Usage(
        num_jobs=sum(row["num_jobs"] for row in rows),
        joules_of=joules_of,
        co2_g=sum(joules_of.values()) / JOULES_PER_KWH * grid if grid else None,
    )
