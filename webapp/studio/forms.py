"""Forms of the account page; the prompt bar is made from the contract instead."""

from django import forms

from webapp.accounts.models import User
from webapp.accounts.services import MAX_NAME_CHARS, SCOPES


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]  # a ModelForm takes no type at run time
    """The name that others see."""

    class Meta:
        model = User
        fields = ["username"]
        labels = {"username": "Name"}
        help_texts = {"username": "Members of your workspaces see it beside what you make."}


class ApiKeyForm(forms.Form):
    """What a new key is for and what it may do."""

    name = forms.CharField(max_length=MAX_NAME_CHARS, help_text="What the key is for, for example “nightly report”.")
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(scope, scope) for scope in SCOPES],
        initial=list(SCOPES),
        widget=forms.CheckboxSelectMultiple,
    )
