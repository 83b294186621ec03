"""Text jobs: pass the words on as they come, screened, then sign and keep the whole."""

import time
from collections.abc import Sequence
from uuid import UUID

from celery import Task, shared_task

from genworkers import contract
from genworkers.engine.errors import EngineError
from genworkers.tasks import engines, lifecycle
from genworkers.tasks.lifecycle import BlockedError, Run
from webapp.gallery.services import ArtifactDraft
from webapp.safety import rules
from webapp.safety.models import Action

FLUSH_S = 0.05
POLL_S = 0.25
EXCERPT_CHARS = 300
# Long enough for any listed phrase; a rule is looked for in the newest words only, the whole is screened at the end.
SCREEN_TAIL_CHARS = 500


@shared_task(name=contract.GENERATE_TASK_OF_KIND["text"], bind=True)
def generate_text(self: Task[[str], None], job_id: str) -> None:
    """Run one text job."""
    lifecycle.run(UUID(job_id), worker=str(self.request.hostname), work=_write)


def _write(run: Run) -> Sequence[ArtifactDraft]:
    job = run.claim.job
    request = contract.TextRequest.model_validate(job.request)
    seed = job.request["seed"]
    ticket = engines.text_engine(request.net).submit(request, seed=seed, deadline_s=run.deadline_s)
    run.publish(contract.Started(attempt=job.attempt, num_steps=request.max_tokens, seed=seed))
    terms = rules.terms_of(job.workspace_id)
    text = ""
    num_tokens = 0
    last_flush = 0.0

    def report() -> bool:
        nonlocal text, num_tokens, last_flush
        time.sleep(max(0.0, last_flush + FLUSH_S - time.monotonic()))
        steps = ticket.read(POLL_S)
        last_flush = time.monotonic()
        piece = "".join(step.text for step in steps)
        if steps:
            num_tokens = steps[-1].num_tokens
            run.timings.setdefault("first_token_s", round(last_flush - run.began, 4))
        text += piece
        tail = rules.judge(text[-SCREEN_TAIL_CHARS:], terms, stage="output")
        if tail.action == Action.BLOCK:
            raise BlockedError(tail)
        progress = {"step": num_tokens, "num_steps": request.max_tokens, "num_tokens": num_tokens}
        if not piece or not run.may_show or tail.action == Action.REVIEW:
            return run.publish(progress=progress)
        return run.publish(contract.TextPiece(text=piece, num_tokens=num_tokens), progress=progress)

    run.follow(ticket, report)
    if not text:
        raise EngineError(
            "nothing_written", "The net ended before the first word. Remove a stop string or change the seed."
        )
    verdict = rules.judge(text, terms, stage="output")
    if verdict.action == Action.BLOCK:
        raise BlockedError(verdict)
    return [
        run.draft(
            0,
            data=text.encode(),
            media_type="text/plain; charset=utf-8",
            seed=seed,
            output_verdict=verdict,
            num_tokens=num_tokens,
            finish_reason=ticket.finish_reason or "",
            excerpt=text[:EXCERPT_CHARS],
        )
    ]
