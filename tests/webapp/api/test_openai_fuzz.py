"""/v1's description against the server: whatever schemathesis thinks of, the answer is one that the description lists.

The queue is full, so that a body without fault gets its 429 at once; no worker is needed. The check worker is a fake.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.factories import MembershipFactory
from tests.webapp.api.callers import bearer
from tests.webapp.api.fake_worker import answered
from webapp.jobs import questions

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

NET_OF_END = {
    "completions": "llama-tessera-text",
    "/embeddings": "all-minilm-l6-v2",
    "/moderations": "tessera-moderation",
}
description = schemathesis.openapi.from_wsgi("/v1/openapi.json", get_wsgi_application())


@pytest.fixture
def key(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The headers of an owner's key; the test's transaction stays open from one request to the next."""
    settings.MAX_QUEUED_JOBS = 0
    monkeypatch.setattr(questions, "ask", answered)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield bearer(MembershipFactory.create())
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@description.parametrize()
@hypothesis_settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_described(case: Any, key: dict[str, str]) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        # Any other name, and nothing else would ever be looked at.
        case.body["model"] = next((net for end, net in NET_OF_END.items() if case.path.endswith(end)), "mosaic")
    case.call_and_validate(headers=key, excluded_checks=[positive_data_acceptance])
