"""The loop of a training run: budget, log, going on."""

import json
from pathlib import Path

import pytest
import torch

from genworkers.training import loop
from genworkers.training.loop import TimedRun


def test_a_run_ends_with_its_budget_and_saves_its_parts(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 2)
    run = TimedRun(tmp_path, 0.05 / 60, {"net": net})
    shares = []
    for share in run.steps(lambda: {"good": 1.0}):
        shares.append(share)
        run.note(loss=2.0)
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] < 1.0
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["scores"] == {"good": 1.0}
    assert rows[0] == {"step": loop.LOG_EVERY_STEPS, "spent_s": 0, "loss": 2.0}
    assert torch.equal(torch.load(tmp_path / "resume.pt", weights_only=True)["net"]["weight"], net.weight)


def test_a_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    first = TimedRun(tmp_path, 0.02 / 60, {"net": torch.nn.Linear(2, 2)})
    steps = len(list(first.steps(dict)))
    net = torch.nn.Linear(2, 2)
    second = TimedRun(tmp_path, 0.02 / 60, {"net": net})
    assert second.step == steps
    assert not list(second.steps(dict))
    assert torch.equal(net.weight, torch.load(tmp_path / "resume.pt", weights_only=True)["net"]["weight"])


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    run = TimedRun(tmp_path, 1.0, {})
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        run.note(loss=float("nan"))
