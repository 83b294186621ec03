"""How allauth behaves here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class InvitedOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up alone: an owner invites."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Closed for everybody."""
        return False
