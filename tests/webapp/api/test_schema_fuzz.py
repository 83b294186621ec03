"""The description against the server: whatever schemathesis thinks of, the answer is one that the description lists.

Bounded: a few cases per operation, and always the same ones.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.factories import MembershipFactory
from tests.webapp.api.callers import bearer

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

# A list that is too long can be refused by its size before it is read.
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422"]
config = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}})
description = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application(), config=config)


@pytest.fixture
def key(db: None) -> Iterator[dict[str, str]]:
    """The headers of an owner's key; the test's transaction stays open from one request to the next."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield bearer(MembershipFactory.create())
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@description.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_described(case: Any, key: dict[str, str]) -> None:
    if case.headers is not None:
        case.headers.pop("Prefer", None)  # the example waits for a worker
    # No schema can say which nets are installed, that a prompt holds no control characters, or how thresholds rise.
    unsaid = [positive_data_acceptance] if case.method in ("POST", "PUT") else []
    case.call_and_validate(headers=key, excluded_checks=unsaid)
