"""What work costs: joules, from the seconds that it computed and the watts of such a second. No tensors here.

The counters of a machine (RAPL of its processors, NVML of a GPU) count for everybody on it. So their joules are divided
by the seconds that anybody computed meanwhile, which gives a price in watts with the share of everything that is always
on; work pays for its own seconds. Without a counter that can be read the price is an estimate.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from genworkers.contract.energy import EnergySource

# A busy hardware thread of a server, its share of the whole machine included, takes 3.7 to 4.7 W at full load by
# generation of processor (Cloud Carbon Footprint, "Methodology", coefficients from SPECpower): an estimate at best.
WATTS_PER_CORE = 4.0
SAMPLE_S = 0.5
# Between two samples further apart the machine may have idled, and that is not what computing costs.
STALE_S = 4 * SAMPLE_S
POWERCAP = Path("/sys/class/powercap")
STAT = Path("/proc/stat")
BUSY_COLUMNS = (1, 2, 3, 6, 7)  # user, nice, system, irq, softirq; guests are in user


class Counter(Protocol):
    """Energy that has flowed, and time that was used."""

    source: EnergySource

    def read(self) -> tuple[float, float]:
        """Joules and busy seconds since some moment; only differences mean anything. OSError: not to be read now."""


class Rapl:
    """The processors' own counters of packages and memory, and the busy seconds of all processors together.

    Intel's Running Average Power Limit as Linux shows it (Documentation/power/powercap); AMD's Zen shows the same.
    Readable by root alone unless the operator allows more.

    Args:
        powercap, stat: where Linux shows them.

    Raises:
        OSError: there is none, or it must not be read.
    """

    source: EnergySource = "rapl"

    def __init__(self, powercap: Path = POWERCAP, stat: Path = STAT) -> None:
        names = {zone: (zone / "name").read_text().strip() for zone in sorted(powercap.glob("intel-rapl:*"))}
        self._zones = [zone for zone, name in names.items() if name.startswith("package") or name == "dram"]
        if not self._zones:
            raise FileNotFoundError(f"no RAPL zones in {powercap}")
        self._ranges = {zone: int((zone / "max_energy_range_uj").read_text()) for zone in self._zones}
        self._last = {zone: self._microjoules(zone) for zone in self._zones}
        self._joules = 0.0
        self._stat = stat

    def read(self) -> tuple[float, float]:
        """As `Counter`; a counter that began anew at 0 is followed."""
        for zone in self._zones:
            now = self._microjoules(zone)
            self._joules += ((now - self._last[zone]) % (self._ranges[zone] + 1)) / 1e6
            self._last[zone] = now
        columns = self._stat.read_text().split("\n", 1)[0].split()
        return self._joules, sum(int(columns[column]) for column in BUSY_COLUMNS) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _microjoules(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())


class Nvml:
    """The counter of one NVIDIA GPU (Volta or newer), through the library that comes with its driver.

    A GPU is taken as busy while an engine uses it: what two workers share is counted by both.

    Args:
        uuid: of the GPU, "GPU-...".

    Raises:
        OSError: there is no driver, no such GPU, or no counter.
    """

    source: EnergySource = "nvml"

    def __init__(self, uuid: str) -> None:
        self._library = ctypes.CDLL("libnvidia-ml.so.1")
        self._device = ctypes.c_void_p()
        self._call("nvmlInit_v2")
        self._call("nvmlDeviceGetHandleByUUID", uuid.encode(), ctypes.byref(self._device))
        self.read()

    def read(self) -> tuple[float, float]:
        """As `Counter`; every second of the clock is one of the GPU's."""
        millijoules = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetTotalEnergyConsumption", self._device, ctypes.byref(millijoules))
        return millijoules.value / 1e3, time.monotonic()

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise OSError(f"{name} returned {status}")


class Price:
    """Watts of one second of computing; from any thread.

    Args:
        watts: the estimate; with a counter, what counts until it was read twice.
    """

    def __init__(self, watts: float, counter: Counter | None = None) -> None:
        self._watts = watts
        self._counter = counter
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._seen = (0.0, 0.0)

    @property
    def source(self) -> EnergySource:
        """Where it comes from."""
        return "estimate" if self._counter is None else self._counter.source

    def watts(self) -> float:
        """The price now. A counter is read every SAMPLE_S at most."""
        if self._counter is None or time.monotonic() - self._read_at < SAMPLE_S:
            return self._watts
        if self._lock.acquire(blocking=False):
            try:
                self._sample(self._counter)
            finally:
                self._lock.release()
        return self._watts

    def _sample(self, counter: Counter) -> None:
        now = time.monotonic()
        try:
            joules, busy_s = counter.read()
        except OSError:
            return  # the last price is better than none
        was_joules, was_busy_s = self._seen
        if now - self._read_at < STALE_S and busy_s > was_busy_s:
            self._watts = (joules - was_joules) / (busy_s - was_busy_s)
        self._read_at, self._seen = now, (joules, busy_s)


class Watch:
    """Tells the joules of what its clock has counted since it was last asked.

    Args:
        clock: seconds of computing; that of a thread must be asked in this thread.
    """

    def __init__(self, clock: Callable[[], float], price: Price) -> None:
        self._clock, self._price = clock, price
        self._at = clock()

    def lap(self) -> float:
        """Joules since the last call."""
        now = self._clock()
        spent_s, self._at = now - self._at, now
        return spent_s * self._price.watts()


class Meter:
    """The prices of this process's work, and the watches that go by them.

    Args:
        gpu: of the device that the nets are on, where it can be read; otherwise only the processor's work counts.
    """

    def __init__(self, cpu: Price | None = None, gpu: Price | None = None) -> None:
        self._cpu = cpu or Price(WATTS_PER_CORE)
        self._gpu = gpu

    @property
    def source(self) -> EnergySource:
        """What most of a job's energy is known from."""
        return (self._gpu or self._cpu).source

    def watch(self, cpu_clock: Callable[[], float]) -> Watch:
        """Of work on the device: by the clock of the GPU where it can be read, else by this one of the processor."""
        return Watch(cpu_clock, self._cpu) if self._gpu is None else Watch(time.monotonic, self._gpu)

    def cpu_watch(self) -> Watch:
        """Of what the calling thread computes itself."""
        return Watch(time.thread_time, self._cpu)


def find_meter(watts_per_core: float, gpu_uuid: str | None) -> Meter:
    """The best that this machine offers.

    Args:
        watts_per_core: the estimate, for where no counter can be read.
        gpu_uuid: of the GPU that the nets are on, if they are on one.
    """
    gpu: Price | None = None
    try:
        cpu = Price(watts_per_core, Rapl())
    except (OSError, ValueError):
        cpu = Price(watts_per_core)
    if gpu_uuid is not None:
        try:
            gpu = Price(0.0, Nvml(gpu_uuid))
        except (OSError, AttributeError):  # no driver, no counter, or a driver too old to know the call
            gpu = None
    return Meter(cpu, gpu)
