"""`celery -A genworkers.worker worker -Q text` (image, check): sets Django up, loads its queues' nets, runs tasks."""

import os
from typing import Any

import django
import structlog
import torch
from celery.signals import celeryd_after_setup, worker_shutdown, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from django.conf import settings  # noqa: E402  (after django.setup, as everything below)

from genworkers.checkpoints import CheckpointError  # noqa: E402
from genworkers.contract.base import KINDS  # noqa: E402
from genworkers.contract.names import CHECK_QUEUE, QUEUE_OF_KIND  # noqa: E402
from genworkers.engine.errors import EngineError  # noqa: E402
from genworkers.tasks import checks, engines, image, leases, screens, text  # noqa: E402
from webapp.celery import app  # noqa: E402

log = structlog.get_logger(__name__)

__all__ = ["app", "checks", "image", "text"]


@celeryd_after_setup.connect
def load_engines(instance: Any, **_: Any) -> None:
    """Load screens and nets before the first task is taken; a worker without a net waits idle, so the site stays up."""
    torch.set_num_threads(settings.ENGINE_THREADS)
    queues = instance.app.amqp.queues.consume_from
    try:
        screens.loaded()
        if CHECK_QUEUE in queues:
            screens.embedder()
    except (CheckpointError, FileNotFoundError, ValueError) as error:
        raise SystemExit(f"A screen cannot be loaded: {error}") from error
    for kind in KINDS:
        if QUEUE_OF_KIND[kind] not in queues:
            continue
        try:
            names = engines.load(kind)
        except (CheckpointError, EngineError) as error:
            raise SystemExit(f"A net cannot be loaded: {error}") from error
        if not names:
            log.warning("no_net_installed", kind=kind, folder=str(settings.NETS_DIR))


@worker_shutting_down.connect
def hand_jobs_over(**_: Any) -> None:
    """A job in hand goes back to the queue at once, not when its lease ends."""
    leases.hand_over()


@worker_shutdown.connect
def close_engines(**_: Any) -> None:
    """End the engine threads."""
    engines.close()
