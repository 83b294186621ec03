"""Template tags of the verify page: what was found, in words."""

from typing import Any

from django import template

from webapp.provenance import words
from webapp.provenance.verification import Verification

register = template.Library()


@register.simple_tag
def testimony(found: Verification) -> dict[str, Any]:
    """The verdict, what each witness says, and what the credentials say that it is made of."""
    parts = {"Credentials": words.credentials(found), "Mark": words.mark(found), "Registry": words.registry(found)}
    return {"answer": words.answer(found), "parts": parts, "source": words.source(found)}
