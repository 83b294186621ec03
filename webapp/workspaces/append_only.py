"""Rows that are written once: neither changed nor deleted through Django. Who has the database can; see `audit.py`."""

from typing import Any, NoReturn

from django.db import models


class WrittenOnceError(TypeError):
    """Somebody tried to change or delete what is only ever added to. A fault of the caller, not of a user."""


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """Rows that can be read and added to."""

    def update(self, **kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            WrittenOnceError: always.
        """
        raise WrittenOnceError(f"{self.model.__name__} rows are never changed")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            WrittenOnceError: always.
        """
        raise WrittenOnceError(f"{self.model.__name__} rows are never changed")

    def delete(self) -> NoReturn:
        """Refused.

        Raises:
            WrittenOnceError: always.
        """
        raise WrittenOnceError(f"{self.model.__name__} rows are never deleted")


class AppendOnly(models.Model):
    """A row that is saved once."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the row.

        Raises:
            WrittenOnceError: it is in the database already.
        """
        if not self._state.adding:
            raise WrittenOnceError(f"{type(self).__name__} rows are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            WrittenOnceError: always.
        """
        raise WrittenOnceError(f"{type(self).__name__} rows are never deleted")
