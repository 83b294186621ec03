"""The account page: name, e-mail, password, and the person's API keys in the workspace they look at."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts import services as accounts
from webapp.accounts.models import ApiKey, User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.errors import AppError, not_found
from webapp.studio.forms import ApiKeyForm, PersonForm
from webapp.workspaces.current import current
from webapp.workspaces.selectors import workspaces_of


@sign_in_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show the account; POST changes the name."""
    user = person(request)
    form = PersonForm(request.POST or None, instance=User.objects.get(id=user.id))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your name was changed.")
        return redirect("account")
    return _page(request, user, form, ApiKeyForm(), status=422 if form.errors else 200)


@sign_in_required
@require_POST
def create_key(request: HttpRequest) -> HttpResponse:
    """Make a key and show it, this once."""
    user = person(request)
    workspace = workspaces_of(user).filter(slug=request.POST.get("workspace", "")).first()
    if workspace is None:
        raise not_found("workspace")
    form = ApiKeyForm(request.POST)
    raw_key = ""
    if form.is_valid():
        try:
            _, raw_key = accounts.create_api_key(
                user, workspace, form.cleaned_data["name"], form.cleaned_data["scopes"]
            )
        except AppError as error:
            form.add_error("name", forms.ValidationError(error.message, code=error.code))
    shown = form if form.errors else ApiKeyForm()
    return _page(request, user, PersonForm(instance=user), shown, raw_key=raw_key, status=422 if form.errors else 200)


@sign_in_required
@require_POST
def revoke_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """End one of the person's own keys."""
    key = ApiKey.objects.filter(id=key_id, user=person(request)).first()
    if key is None:
        raise not_found("key")
    accounts.revoke_api_key(key)
    messages.success(request, f"The key {key.name} works no more.")
    return redirect("account")


def _page(
    request: HttpRequest, user: User, form: PersonForm, key_form: ApiKeyForm, *, raw_key: str = "", status: int
) -> HttpResponse:
    workspace = current(request, user)
    keys = ApiKey.objects.filter(user=user, workspace=workspace, revoked_at__isnull=True).order_by("-created_at")
    context = {"form": form, "key_form": key_form, "keys": keys, "raw_key": raw_key}
    response = render(request, "studio/account.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response
