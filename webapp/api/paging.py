"""Lists of the API: newest first, at most so many at once, and the address of the next page."""

from typing import Annotated, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from ninja import Query

from webapp.errors import not_found

MAX_LIMIT = 100

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="how many at once")]
Before = Annotated[UUID | None, Query(description="go on after this id: the last one of the page before")]
Slug = Annotated[
    str | None,
    Query(
        max_length=50,
        pattern=r"^[-a-zA-Z0-9_]+$",
        description="the workspace; left out, it is the key's own, or the person's first",
        examples=["studio"],
    ),
]

AnyModel = TypeVar("AnyModel", bound=Model)


def page_of(
    request: HttpRequest, rows: QuerySet[AnyModel], *, before: UUID | None, limit: int
) -> tuple[list[AnyModel], str | None]:
    """One page of rows that have `created_at` and `id`, newest first.

    Returns:
        The rows, and the address of the next page, or None on the last.

    Raises:
        AppError: not_found, when `before` is not among the rows.
    """
    if before is not None:
        last = rows.filter(pk=before).values_list("created_at", flat=True).first()
        if last is None:
            raise not_found("entry before this page")
        rows = rows.filter(Q(created_at__lt=last) | Q(created_at=last, id__lt=before))
    found = list(rows.order_by("-created_at", "-id")[: limit + 1])
    if len(found) <= limit:
        return found, None
    query = request.GET.copy()
    query["before"] = str(found[limit - 1].pk)
    return found[:limit], f"{settings.BASE_URL}{request.path}?{query.urlencode()}"
