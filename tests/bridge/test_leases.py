"""What the keeper of leases asks of the database."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from genworkers.tasks import leases


@pytest.mark.django_db(transaction=True)
def test_nothing_held_keeps_no_connection_open() -> None:
    """The keeper's thread outlives its jobs; an idle worker takes no place in the database."""

    def renew_once() -> bool:
        connection.ensure_connection()
        leases._renew()
        return connection.connection is None

    assert leases.num_held() == 0
    with ThreadPoolExecutor(1) as keeper:
        assert keeper.submit(renew_once).result()
