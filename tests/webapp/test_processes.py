"""Programs that read strangers' files do not keep members waiting."""

import pytest

from tests.webapp.gallery.picture_files import file_of, half_red
from webapp import processes
from webapp.errors import AppError
from webapp.gallery import pictures
from webapp.provenance import verification


@pytest.mark.django_db
def test_members_are_served_while_anybody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "WAIT_S", 0.1)
    data = file_of(half_red(), "PNG")
    with processes.ANYBODY:
        with pytest.raises(AppError) as caught:
            verification.verify(data)
        assert caught.value.code == "pictures_busy"
        assert pictures.clean(data).width_px == 60
