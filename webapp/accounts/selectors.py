"""Reads about people: who has which e-mail."""

from webapp.accounts.models import User


def user_by_email(email: str) -> User | None:
    """The person with this e-mail, whatever the case of its letters."""
    return User.objects.filter(email__iexact=email).first()
