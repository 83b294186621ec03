"""The form of the verify page: a file, or a text, and credentials that came beside it."""

from typing import Any

from django import forms

from webapp.errors import AppError
from webapp.provenance import verification


class VerifyForm(forms.Form):
    """One thing to look at."""

    file = forms.FileField(required=False, allow_empty_file=True)
    credentials = forms.FileField(required=False, allow_empty_file=True)
    text = forms.CharField(required=False, strip=False, widget=forms.Textarea)

    def clean(self) -> dict[str, Any]:
        """Exactly one of file and text, neither too large."""
        cleaned: dict[str, Any] = super().clean() or {}
        file, text = cleaned.get("file"), cleaned.get("text", "")
        if (file is None) == (not text.strip()):
            raise forms.ValidationError("Give one thing to look at: a file, or a text.")
        for name in ("file", "credentials"):
            given = cleaned.get(name)
            if given is not None:
                try:
                    verification.check_num_bytes(given.size, name)
                except AppError as error:
                    self.add_error(name, error.message)
        return cleaned

    @property
    def is_text(self) -> bool:
        """Whether a text was given, not a file."""
        return self.cleaned_data["file"] is None

    @property
    def content(self) -> bytes:
        """The bytes to look at; line ends of a form field are those of a file."""
        file = self.cleaned_data["file"]
        data: bytes = file.read() if file is not None else _as_written(self.cleaned_data["text"])
        return data

    @property
    def sidecar(self) -> bytes | None:
        """The credentials that came beside it."""
        given = self.cleaned_data["credentials"]
        return given.read() if given is not None else None


def _as_written(text: str) -> bytes:
    return text.replace("\r\n", "\n").encode("utf-8", "replace")
