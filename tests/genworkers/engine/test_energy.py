"""Joules: counters as the machine shows them, the price that follows, and whom the engines put them down to."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from genworkers.contract.energy import EnergySource
from genworkers.contract.image import ImageRequest
from genworkers.engine import energy
from genworkers.engine.config import EngineConfig
from genworkers.engine.energy import Meter, Price, Rapl, Watch, find_meter
from genworkers.engine.image_engine import ImageEngine
from genworkers.engine.text_engine import TextEngine
from tests.genworkers.engine.reading import ask, read_all, request
from tests.genworkers.tiny_mosaic import tiny_mosaic
from tests.genworkers.tiny_nets import TinyNets, plain_decoder

RANGE_UJ = 1_000_000
HZ = os.sysconf("SC_CLK_TCK")


class Machine:
    """A powercap tree and a /proc/stat in a folder, with a package, its memory and what is counted in them already."""

    def __init__(self, folder: Path) -> None:
        self.powercap, self.stat = folder / "powercap", folder / "stat"
        names = {
            "intel-rapl:0": "package-0",
            "intel-rapl:0:0": "core",
            "intel-rapl:0:1": "dram",
            "intel-rapl:1": "psys",
        }
        for zone, name in names.items():
            (self.powercap / zone).mkdir(parents=True)
            (self.powercap / zone / "name").write_text(name + "\n")
            (self.powercap / zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
            self.count(zone, 0)
        self.busy(0.0)

    def count(self, zone: str, microjoules: int) -> None:
        (self.powercap / zone / "energy_uj").write_text(f"{microjoules}\n")

    def busy(self, seconds: float) -> None:
        self.stat.write_text(f"cpu {round(seconds * HZ)} 0 0 999999 77 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")

    def rapl(self) -> Rapl:
        return Rapl(self.powercap, self.stat)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class FakeCounter:
    """A counter that says what it is told."""

    source: EnergySource = "rapl"

    def __init__(self) -> None:
        self.said = (0.0, 0.0)
        self.num_reads = 0
        self.is_away = False

    def read(self) -> tuple[float, float]:
        self.num_reads += 1
        if self.is_away:
            raise OSError("away")
        return self.said


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock."""

    def put(seconds: float) -> None:
        clock = SimpleNamespace(monotonic=lambda: 1000.0 + seconds)
        monkeypatch.setattr("genworkers.engine.energy.time", clock)

    put(0.0)
    return put


def test_packages_and_memory_are_added_and_nothing_is_counted_twice(machine: Machine) -> None:
    rapl = machine.rapl()
    for zone, microjoules in {"intel-rapl:0": 300_000, "intel-rapl:0:1": 50_000}.items():
        machine.count(zone, microjoules)
    machine.count("intel-rapl:0:0", 200_000)
    machine.count("intel-rapl:1", 900_000)
    machine.busy(2.5)
    assert rapl.read() == pytest.approx((0.35, 2.5))


def test_a_counter_that_begins_anew_is_followed(machine: Machine) -> None:
    machine.count("intel-rapl:0", RANGE_UJ - 100_000)
    rapl = machine.rapl()
    machine.count("intel-rapl:0", 199_999)
    assert rapl.read()[0] == pytest.approx(0.3)
    machine.count("intel-rapl:0", 299_999)
    assert rapl.read()[0] == pytest.approx(0.4)


def test_counters_that_are_missing_or_locked_leave_the_estimate(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy.Rapl.__init__, "__defaults__", (tmp_path / "nothing", machine.stat))
    meter = find_meter(7.0, "GPU-00000000-0000-0000-0000-000000000000")
    assert meter.source == "estimate"
    assert meter.cpu_watch()._price.watts() == 7.0
    monkeypatch.setattr(energy.Rapl.__init__, "__defaults__", (machine.powercap, machine.stat))
    assert find_meter(7.0, None).source == "rapl"
    (machine.powercap / "intel-rapl:0" / "energy_uj").unlink()
    assert find_meter(7.0, None).source == "estimate"


def test_the_price_is_what_flowed_for_each_second_that_was_used(at: Callable[[float], None]) -> None:
    counter = FakeCounter()
    price = Price(4.0, counter)
    assert (price.watts(), price.source) == (4.0, "rapl")
    at(1.0)
    counter.said = (30.0, 2.0)
    assert price.watts() == pytest.approx(15.0)
    at(1.1)
    counter.said = (999.0, 2.1)
    assert price.watts() == pytest.approx(15.0)
    assert counter.num_reads == 2


def test_a_machine_that_idled_does_not_make_the_next_second_dear(at: Callable[[float], None]) -> None:
    counter = FakeCounter()
    price = Price(4.0, counter)
    price.watts()
    at(600.0)
    counter.said = (6000.0, 1.0)
    assert price.watts() == 4.0
    at(601.0)
    counter.said = (6020.0, 3.0)
    assert price.watts() == pytest.approx(10.0)


def test_a_counter_that_goes_away_leaves_the_last_price(at: Callable[[float], None]) -> None:
    counter = FakeCounter()
    price = Price(4.0, counter)
    price.watts()
    at(1.0)
    counter.said, counter.is_away = (30.0, 2.0), True
    assert price.watts() == 4.0
    counter.is_away = False
    assert price.watts() == pytest.approx(15.0)


def test_a_watch_tells_what_its_clock_has_counted_since() -> None:
    now = 5.0
    watch = Watch(lambda: now, Price(10.0))
    now = 5.5
    assert watch.lap() == pytest.approx(5.0)
    assert watch.lap() == 0.0


def test_a_gpu_is_paid_by_the_clock_and_the_processor_by_its_own() -> None:
    meter = Meter(Price(4.0), Price(300.0, FakeCounter()))
    assert meter.source == "rapl"  # what the fake says of itself
    watch, own = meter.watch(time.process_time), meter.cpu_watch()
    time.sleep(0.1)
    assert 20.0 < watch.lap() < 100.0
    assert own.lap() < 0.2


@pytest.fixture
def text_engine() -> Iterator[TextEngine]:
    decoder = plain_decoder()
    config = EngineConfig(max_running=4, step_tokens=16)
    with TextEngine(TinyNets({"tiny": lambda: decoder}), config, Meter(Price(10.0))) as engine:
        yield engine


def test_those_who_share_a_batch_share_what_it_costs(text_engine: TextEngine) -> None:
    began = time.process_time()
    tickets = [ask(text_engine, request(max_tokens=num), seed=1) for num in (10, 10, 40)]
    for ticket in tickets:
        read_all(ticket)
    spent_j = 10.0 * (time.process_time() - began)
    shares = [ticket.energy_j for ticket in tickets]
    assert min(shares) > 0
    assert shares[2] > shares[0]
    assert 0.3 * spent_j < sum(shares) <= spent_j


def test_one_who_is_cancelled_has_paid_for_what_was_done(text_engine: TextEngine) -> None:
    ticket = ask(text_engine, request(max_tokens=1000), seed=5)
    ticket.read(5.0)
    ticket.cancel()
    read_all(ticket)
    assert ticket.energy_j > 0


def test_a_picture_costs_what_its_thread_computed_and_waiting_costs_nothing(tmp_path: Path) -> None:
    engine = ImageEngine({"mosaic": tiny_mosaic(tmp_path)}, num_threads=2, meter=Meter(Price(10.0)))
    engine.start()
    began = time.process_time()
    tickets = [engine.submit(ImageRequest(prompt="cat", num_images=num), seed=3, deadline_s=20) for num in (1, 3)]
    for ticket in tickets:
        while not ticket.is_done:
            ticket.read(1.0)
    spent_j = 10.0 * (time.process_time() - began)
    few, many = (ticket.energy_j for ticket in tickets)
    assert 1.5 * few < many
    assert 0.5 * spent_j < few + many <= spent_j
    engine.close()
