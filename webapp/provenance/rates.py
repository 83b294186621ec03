"""How often one address may ask what everybody may ask without signing in."""

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from ninja.throttling import SimpleRateThrottle

from webapp.errors import AppError


class _ByAddress(SimpleRateThrottle):
    """Ninja's sliding window, counted in Redis for all web processes together."""

    cache = caches["rates"]

    def get_cache_key(self, request: HttpRequest) -> str:
        """One count for each address."""
        return f"verify/{self.get_ident(request)}"


def check(request: HttpRequest) -> None:
    """Count this request.

    Raises:
        AppError: too_many_requests.
    """
    throttle = _ByAddress(settings.VERIFY_RATE)
    if not throttle.allow_request(request):
        wait_s = max(1, round(throttle.wait() or 1))
        message = f"This address has asked too often. Ask again in {wait_s} s."
        raise AppError("too_many_requests", 429, message, headers={"Retry-After": str(wait_s)})
