"""The public page that says of any file or text whether it was made here, and the root that signatures lead up to."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from webapp.provenance import forms, rates, services, verification


@require_http_methods(["GET", "HEAD", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """The page with its form; a POST with what was found, which alone answers htmx."""
    context: dict[str, object] = {"prompt_bar": None, "max_mb": verification.MAX_BYTES // 10**6}
    if request.method != "POST":
        return render(request, "provenance/verify.html", context | {"form": forms.VerifyForm()})
    rates.check(request)
    form = forms.VerifyForm(request.POST, request.FILES)
    if form.is_valid():
        context["found"] = verification.verify(form.content, form.sidecar, is_text=form.is_text)
    template = "provenance/_verdict.html" if getattr(request, "htmx", False) else "provenance/verify.html"
    return render(request, template, context | {"form": form}, status=200 if form.is_valid() else 422)


@require_safe
def root_certificate(request: HttpRequest) -> HttpResponse:
    """The certificates that this studio's signatures lead up to, for whoever decides to trust it."""
    return HttpResponse(services.our_authority().anchors_pem, content_type="application/x-pem-file")
