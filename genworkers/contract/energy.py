"""What a job cost in energy, and how that is known."""

from typing import Literal, TypeAlias

from pydantic import Field

from genworkers.contract.base import Strict

# Read from the processor's or the GPU's own counter, or estimated from the seconds that the processor computed.
EnergySource: TypeAlias = Literal["rapl", "nvml", "estimate"]
JOULES_PER_KWH = 3.6e6


class Energy(Strict):
    """Joules and where the number comes from."""

    joules: float = Field(ge=0.0, allow_inf_nan=False)
    source: EnergySource
