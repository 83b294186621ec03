"""Signing in by a one-time link; signing in by password is allauth's."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from sesame.views import LoginView


class SignInLinkView(LoginView):  # type: ignore[misc]
    """`/accounts/link/?sesame=TOKEN`, once and within a day."""

    request: HttpRequest

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign in, and keep the token out of the history and of Referer headers."""
        response: HttpResponse = super().get(request)
        response["Referrer-Policy"] = "no-referrer"
        response["Cache-Control"] = "no-store"
        return response

    def login_failed(self) -> HttpResponse:
        """Back to the sign-in page, with the reason."""
        if self.request.user.is_authenticated:
            return redirect("home")
        messages.error(
            self.request,
            "This sign-in link was used already or is older than a day. "
            "Ask for a new one, or sign in with your password.",
        )
        return redirect("account_login")
