"""The OpenAPI description is complete and true, and its page needs no other site."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest
from webapp.api.problems import MEDIA_TYPE

DOCS = "/api/v1/docs"


@pytest.fixture
def description(client: Client) -> Any:
    response = client.get("/api/v1/openapi.json")
    assert response.status_code == 200
    return response.json()


def operations(description: Any) -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for methods in description["paths"].values()
        for operation in methods.values()
    }


def test_the_requests_are_the_contracts_own(description: Any) -> None:
    schemas = description["components"]["schemas"]
    for model in (TextRequest, ImageRequest):
        assert schemas[model.__name__]["properties"].keys() == model.model_fields.keys()
        assert schemas[model.__name__]["additionalProperties"] is False
    assert schemas["TextRequest"]["properties"]["max_tokens"]["maximum"] == 8192


def test_every_operation_is_told_and_lists_its_problems(description: Any) -> None:
    for name, operation in operations(description).items():
        assert operation["summary"], name
        assert operation["description"], name
        if name != "verify":  # which everybody may ask
            assert {"BearerKey", "Session"} == {key for entry in operation["security"] for key in entry}, name
        assert {"401", "403", "422"} <= operation["responses"].keys(), name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if int(status) >= 400:
                assert response["content"].keys() == {MEDIA_TYPE}
    assert {"200", "202", "400", "409", "413", "429"} <= operations(description)["create_job"]["responses"].keys()
    assert "409" in operations(description)["cancel_job"]["responses"]


def test_the_page_loads_nothing_from_elsewhere(client: Client) -> None:
    html = client.get(DOCS).content.decode()
    assert "/api/v1/openapi.json" in html
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert loaded
    for address in loaded:
        assert address.startswith(settings.STATIC_URL), address
        found = finders.find(address.removeprefix(settings.STATIC_URL))
        assert found is not None, address
        assert Path(str(found)).stat().st_size > 0
