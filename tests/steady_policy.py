"""A default policy whose numbers stay, for tests that count on them: the real one follows the nets."""

from typing import Any

from genworkers.contract.safety import PICTURE_CATEGORIES
from webapp.safety.policy import Policy


def _thresholds(flag_at: float | None, review_at: float | None, block_at: float | None) -> dict[str, Any]:
    return {"flag_at": flag_at, "review_at": review_at, "block_at": block_at}


_TEXT = {
    "sexual": _thresholds(0.5, 0.8, 0.95),
    "hate": _thresholds(0.5, 0.8, 0.95),
    "violence": _thresholds(0.6, 0.9, None),
    "harassment": _thresholds(0.5, 0.8, 0.95),
    "self-harm": _thresholds(0.3, 0.8, None),
    "sexual/minors": _thresholds(None, None, 0.2),
    "hate/threatening": _thresholds(0.4, 0.6, 0.9),
    "violence/graphic": _thresholds(0.5, 0.8, 0.98),
    "illicit": _thresholds(0.5, 0.8, 0.95),
}
_PICTURE = {name: _thresholds(0.5, None, None) for name in PICTURE_CATEGORIES} | {"nudity": _thresholds(0.5, 0.8, None)}
STEADY = Policy.model_validate({"prompt": _TEXT, "input": _PICTURE, "output": _TEXT | _PICTURE})
