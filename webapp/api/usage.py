"""/usage: what a workspace has spent."""

from django.conf import settings
from ninja import Router
from pydantic import BaseModel, Field

from genworkers.contract.energy import EnergySource
from webapp.api.auth import READ, ApiRequest
from webapp.api.paging import Slug
from webapp.jobs.usage import PERIOD_DAYS, usage_of

router = Router(tags=["usage"])


class Grid(BaseModel):
    """The electricity that CO2 is reckoned by, as the operator names it."""

    name: str
    g_per_kwh: float


class WorkspaceUsage(BaseModel):
    """Energy of the jobs of the last days."""

    workspace: str
    period_days: int
    num_jobs: int = Field(description="jobs whose energy is known")
    energy_j: float
    energy_j_of: dict[EnergySource, float] = Field(
        description="by how it is known: the counters of the processors (rapl) or of the GPU (nvml), or an estimate"
    )
    co2_g: float | None = Field(description="null where the operator has named no grid")
    grid: Grid | None


@router.get("/usage", auth=READ, response=WorkspaceUsage, summary="Energy spent")
def get_usage(request: ApiRequest, workspace: Slug = None) -> WorkspaceUsage:
    """What the workspace's jobs of the last 30 days have cost, those that failed or were cancelled included."""
    home = request.auth.workspace(workspace)
    usage = usage_of(home)
    has_grid = usage.co2_g is not None
    return WorkspaceUsage(
        workspace=home.slug,
        period_days=PERIOD_DAYS,
        num_jobs=usage.num_jobs,
        energy_j=usage.joules,
        energy_j_of=usage.joules_of,
        co2_g=usage.co2_g,
        grid=Grid(name=settings.GRID_NAME, g_per_kwh=settings.GRID_G_PER_KWH) if has_grid else None,
    )
