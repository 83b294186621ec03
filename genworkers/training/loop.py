"""The loop of a training run with a wall-clock budget: its clock, its log, its checkpoints, going on after a stop."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

CHECKPOINT_EVERY_S = 240.0
LOG_EVERY_STEPS = 50


class Stateful(Protocol):
    """A net or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later run needs."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Become what was saved."""


class TimedRun:
    """Steps until a budget of seconds is spent; only time between steps counts, so a stopped run goes on where it was.

    `folder/resume.pt` holds the state of all parts, `step` and `spent_s`; `folder/log.jsonl` has a line of mean losses
    every 50 steps and a line of scores at each checkpoint.
    """

    def __init__(self, folder: Path, budget_min: float, parts: Mapping[str, Stateful]) -> None:
        self.folder = folder
        self.budget_s = budget_min * 60.0
        self.parts = parts
        self.step = 0
        self.spent_s = 0.0
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        resume = folder / "resume.pt"
        if resume.exists():
            state = torch.load(resume, weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(state[name])
            self.step, self.spent_s = state["step"], state["spent_s"]

    def steps(self, scores: Callable[[], Mapping[str, Any]]) -> Iterator[float]:
        """Yield the share of the budget that is spent before each step; `scores` is called at each checkpoint."""
        last_tick, last_save_s = time.monotonic(), self.spent_s
        while self.spent_s < self.budget_s:
            yield self.spent_s / self.budget_s
            self.step += 1
            now = time.monotonic()
            self.spent_s, last_tick = self.spent_s + now - last_tick, now
            if self.step % LOG_EVERY_STEPS == 0:
                self._log_losses()
            if self.spent_s - last_save_s >= CHECKPOINT_EVERY_S:
                last_save_s = self.spent_s
                self._save(scores())
        self._save(scores())

    def note(self, **losses: float) -> None:
        """Remember losses of this step for the log.

        Raises:
            FloatingPointError: a loss is not a number.
        """
        for name, value in losses.items():
            if not math.isfinite(value):
                raise FloatingPointError(f"{name} is {value} at step {self.step}; lower the learning rate")
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def _log_losses(self) -> None:
        means = {name: round(total / self._counts[name], 5) for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        self._write(means)

    def _save(self, scores: Mapping[str, Any]) -> None:
        self._write({"scores": dict(scores)})
        state = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save(state | {"step": self.step, "spent_s": self.spent_s}, self.folder / "resume.part")
        (self.folder / "resume.part").replace(self.folder / "resume.pt")

    def _write(self, values: Mapping[str, Any]) -> None:
        line = json.dumps({"step": self.step, "spent_s": round(self.spent_s), **values})
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
