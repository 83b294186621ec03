"""Who is served next: users take turns, each with the oldest job first, and nobody fills the workers. Reads only."""

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from webapp.jobs.models import Job


@dataclass(frozen=True)
class Place:
    """Where one queued job stands.

    Args:
        position: 1 is next.
        num_rounds: how many run times pass before it starts, by the places of the workers and by its user's share.
    """

    position: int
    num_rounds: float


@dataclass(frozen=True)
class Line:
    """Everybody who waits for one kind of work; `due` are the jobs, not sent yet, that may go to the workers now."""

    places: dict[UUID, Place]
    due: list[Job]


def share_of_a_user(num_slots: int, num_users: int) -> int:
    """How many jobs of one user may be with the workers: an even share, with one more left free for a newcomer.

    >>> share_of_a_user(64, 1), share_of_a_user(64, 3), share_of_a_user(8, 20)
    (32, 16, 1)
    """
    return max(1, num_slots // (num_users + 1))


def line_of(kind: str) -> Line:
    """The line for the workers of a kind, from one query."""
    jobs = Job.objects.filter(kind=kind, status__in=Job.OPEN_STATUSES).order_by("created_at", "id")
    jobs_of: dict[int, list[Job]] = defaultdict(list)
    for job in jobs.only("kind", "created_by_id", "status", "dispatched_at", "created_at"):
        jobs_of[job.created_by_id].append(job)
    num_slots = settings.ENGINE_SLOTS[kind]
    share = share_of_a_user(num_slots, len(jobs_of))
    num_running = 0
    sent: list[tuple[int, Job]] = []
    unsent: list[tuple[int, Job]] = []
    for own in jobs_of.values():
        for turn, job in enumerate(sorted(own, key=_is_unsent)):  # stable: the oldest stay first
            if job.status == Job.Status.RUNNING:
                num_running += 1
            else:
                (unsent if _is_unsent(job) else sent).append((turn, job))
    sent.sort(key=lambda one: one[1].dispatched_at or one[1].created_at)  # the broker keeps this order
    unsent.sort(key=lambda one: (one[0], one[1].created_at, one[1].id))
    return Line(
        places={
            job.id: Place(place + 1, max((place + num_running) / num_slots, turn / share))
            for place, (turn, job) in enumerate([*sent, *unsent])
        },
        due=[job for turn, job in unsent if turn < share],
    )


def _is_unsent(job: Job) -> bool:
    return job.status == Job.Status.QUEUED and job.dispatched_at is None
