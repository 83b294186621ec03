"""The person behind a request, and the door in front of every page that needs one."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from webapp.accounts.models import User
from webapp.errors import AppError

Arguments = ParamSpec("Arguments")
View = Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase]


def person(request: HttpRequest) -> User:
    """Who asks.

    Raises:
        AppError: sign_in_required, when nobody is signed in.
    """
    if not isinstance(request.user, User):
        raise AppError(
            "unauthenticated", 401, "You are signed out. Sign in in another tab, then try again: what is here stays."
        )
    return request.user


def sign_in_required(view: View[Arguments]) -> View[Arguments]:
    """Send a page's visitor to the sign-in page; tell a page that is open already, so that it keeps what it shows."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated and request.headers.get("HX-Request") != "true":
            return redirect_to_login(request.get_full_path())
        person(request)
        return view(request, *args, **kwargs)

    return guarded
