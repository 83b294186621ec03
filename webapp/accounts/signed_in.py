"""The person behind a request, for views that `login_required` has let through."""

from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.errors import AppError


def person(request: HttpRequest) -> User:
    """Who asks.

    Raises:
        AppError: sign_in_required, when nobody is signed in.
    """
    if not isinstance(request.user, User):
        raise AppError("sign_in_required", 401, "Sign in first.")
    return request.user
