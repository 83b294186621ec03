"""Where a request enters: every address of the site."""

from django.urls import include, path

from webapp import health
from webapp.api.openai.urls import api as openai_api
from webapp.api.urls import api

urlpatterns = [
    path("", include("webapp.studio.urls")),
    path("", include("webapp.jobs.urls")),
    path("", include("webapp.gallery.urls")),
    path("", include("webapp.catalog.urls")),
    path("", include("webapp.provenance.urls")),
    path("", include("webapp.review.urls")),
    path("", include("webapp.safety.urls")),
    path("", include("webapp.workspaces.urls")),
    path("accounts/", include("webapp.accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("v1/", openai_api.urls),
    path("livez", health.livez),
    path("readyz", health.readyz),
]
handler400 = "webapp.studio.views.bad_request"
