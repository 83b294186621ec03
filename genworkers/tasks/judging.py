"""From what the screens say to what follows for a job: a workspace's terms and policy, as they are when it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.safety import Screening
from genworkers.tasks import screens
from webapp.safety import policy as policies
from webapp.safety import rules
from webapp.safety.models import Action
from webapp.safety.rules import SEVERITY, ScreenResult, Stage
from webapp.safety.selectors import PolicyInForce, policy_of

# Of a walk so many pictures are looked at, evenly spread from the first to the last: neighbours hardly differ.
MAX_LOOKED_AT = 8


class BlockedError(Exception):
    """A screen refused the prompt, a given picture, or what the net made."""

    def __init__(self, results: Sequence[ScreenResult]) -> None:
        super().__init__(rules.severest(results))
        self.results = list(results)


def refuse_blocked(results: Sequence[ScreenResult]) -> None:
    """Let everything pass but what is blocked.

    Raises:
        BlockedError: one of the verdicts blocks.
    """
    if rules.severest(results) == Action.BLOCK:
        raise BlockedError(results)


@dataclass(frozen=True)
class Judge:
    """What the terms (each with its action) and the policy of one workspace say of texts and pictures."""

    terms: Mapping[str, str]
    policy: PolicyInForce

    @classmethod
    def of(cls, workspace_id: UUID) -> "Judge":
        """The judge of a workspace, as things are now."""
        return cls(rules.terms_of(workspace_id), policy_of(workspace_id))

    def text(self, text: str, stage: Stage) -> list[ScreenResult]:
        """The verdict of the terms, and that of the policy on what the text net says."""
        sha256 = screens.sha256_of(text)
        by_rules = replace(rules.judge(text, self.terms, stage=stage), content_sha256=sha256)
        (screening,) = screens.loaded().texts.screen([text])
        return [by_rules, self._weighed(screening, stage, sha256)]

    def pictures(self, pictures: Sequence[Pixels], stage: Stage) -> list[ScreenResult]:
        """One verdict on a picture, or on all pictures of a walk: the severest of those that are looked at."""
        places = np.linspace(0, len(pictures) - 1, min(len(pictures), MAX_LOOKED_AT)).round().astype(int)
        looked_at = [pictures[place] for place in places]
        sha256 = screens.sha256_of(looked_at)
        asked = screens.loaded().pictures.screen(looked_at)
        return [max((self._weighed(screening, stage, sha256) for screening in asked), key=_severity)]

    def _weighed(self, screening: Screening, stage: Stage, sha256: str) -> ScreenResult:
        result = policies.judge(screening, stage, self.policy.policy, number=self.policy.number)
        return replace(result, content_sha256=sha256)


def _severity(result: ScreenResult) -> tuple[int, float]:
    return SEVERITY[result.action], max(result.scores.values(), default=0.0)
