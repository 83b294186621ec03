"""Text jobs: pass the words on as they come, screened, then sign and keep the whole."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from celery import Task, shared_task

from genworkers.contract.base import MAX_SEED
from genworkers.contract.events import Started, TextPiece
from genworkers.contract.names import GENERATE_TASK_OF_KIND
from genworkers.contract.text import TextRequest
from genworkers.engine.errors import EngineError
from genworkers.engine.sequence import TextStep
from genworkers.engine.ticket import Ticket
from genworkers.tasks import engines, leases, lifecycle, marking
from genworkers.tasks.judging import Judge, refuse_blocked
from genworkers.tasks.lifecycle import Run
from webapp.gallery.services import ArtifactDraft
from webapp.safety import rules
from webapp.safety.models import Action
from webapp.safety.rules import ScreenResult

FLUSH_S = 0.05
# With more jobs than this in the process each tells its words less often, so that the telling never outweighs the work.
JOBS_AT_FULL_RATE = 8
POLL_S = 0.25
EXCERPT_CHARS = 300
# Long enough for any listed phrase; a rule is looked for in the newest words only, the whole is screened at the end.
SCREEN_TAIL_CHARS = 500
# The net, which costs more than the rules, is asked when a text is so long, then each time it has doubled or grown by
# the larger number, and at its end. So never more than half of what watchers see is unseen by the net, but for the
# beginning, and always fewer than 400 characters.
FIRST_LOOK_CHARS, MAX_UNSEEN_CHARS = 50, 400


@shared_task(name=GENERATE_TASK_OF_KIND["text"], bind=True)
def generate_text(self: Task[[str], None], job_id: str) -> None:
    """Run one text job."""
    lifecycle.run(UUID(job_id), worker=str(self.request.hostname), work=_write)


@dataclass
class GrowingText:
    """One of the texts of a job: what the engine wrote so far, and whether watchers may see it."""

    index: int
    seed: int
    ticket: Ticket[TextStep]
    is_shown: bool
    text: str = ""
    next_look_chars: int = FIRST_LOOK_CHARS
    seen: list[ScreenResult] | None = None
    newest: TextStep = field(default_factory=lambda: TextStep("", 0))

    def grow(self, timeout_s: float, judge: Judge) -> TextPiece | None:
        """Take what is there and screen it; the piece to show, if any.

        Raises:
            BlockedError: the new words are refused.
            EngineError: the engine could not go on.
        """
        steps = self.ticket.read(timeout_s)
        if not steps:
            return None
        self.newest = steps[-1]
        piece = "".join(step.text for step in steps)
        if piece:
            self.text += piece
            self.seen = None
        verdicts = [rules.judge(self.text[-SCREEN_TAIL_CHARS:], judge.terms, stage="output")]
        is_due = self.newest.finish_reason or len(self.text) >= self.next_look_chars
        # What a term blocks the net looks at as well: it may say that not even the prompt is kept.
        if is_due or verdicts[0].action == Action.BLOCK:
            verdicts = self.verdicts(judge)
        self.is_shown = self.is_shown and rules.severest(verdicts) != Action.REVIEW
        logprobs = [step.logprob for step in steps if step.logprob is not None]
        if not self.is_shown or not (piece or logprobs or self.newest.finish_reason):
            return None
        return TextPiece(
            index=self.index,
            text=piece,
            num_tokens=self.newest.num_tokens,
            num_prompt_tokens=self.newest.num_prompt_tokens,
            finish_reason=self.newest.finish_reason or "",
            logprobs=logprobs,
        )

    def verdicts(self, judge: Judge) -> list[ScreenResult]:
        """What rules and net say of all that was written; asked once for the same text.

        Raises:
            BlockedError: it is refused.
        """
        if self.seen is None:
            self.seen = judge.text(self.text, "output")
            self.next_look_chars = len(self.text) + min(max(len(self.text), FIRST_LOOK_CHARS), MAX_UNSEEN_CHARS)
        refuse_blocked(self.seen)
        return self.seen


@dataclass
class _Telling:
    """Tells watchers what the engine wrote, a flush of all the texts of a job at a time."""

    run: Run
    texts: Sequence[GrowingText]
    num_steps: int
    last_flush: float = 0.0

    def flush(self) -> bool:
        """Publish what is new; whether somebody asked to cancel."""
        flush_s = FLUSH_S * max(1.0, leases.num_held() / JOBS_AT_FULL_RATE)
        time.sleep(max(0.0, self.last_flush + flush_s - time.monotonic()))
        growing = [text for text in self.texts if not text.ticket.is_done]
        # The texts of a job advance together: whoever has something is found with the first that is still growing.
        pieces = [text.grow(0.0 if place else POLL_S, self.run.judge) for place, text in enumerate(growing)]
        self.last_flush = time.monotonic()
        num_tokens = sum(text.newest.num_tokens for text in self.texts)
        if num_tokens:
            self.run.timings.setdefault("first_token_s", round(self.last_flush - self.run.began, 4))
        progress = {"step": num_tokens, "num_steps": self.num_steps, "num_tokens": num_tokens}
        return self.run.publish(*(piece for piece in pieces if piece is not None), progress=progress)


def _write(run: Run) -> Sequence[ArtifactDraft]:
    job = run.claim.job
    request = TextRequest.model_validate(job.request)
    seeds = [(job.request["seed"] + index) % (MAX_SEED + 1) for index in range(request.num_texts)]
    texts: list[GrowingText] = []
    for index, seed in enumerate(seeds):
        ticket = engines.text_engine().submit(
            request, seed=seed, deadline_s=run.deadline_s, user=str(job.created_by_id), mark_key=run.mark_key
        )
        run.add(ticket)
        texts.append(GrowingText(index, seed, ticket, is_shown=run.may_show))
    num_steps = request.max_tokens * request.num_texts
    run.publish(Started(attempt=job.attempt, num_steps=num_steps, seed=seeds[0]))
    run.follow(_Telling(run, texts, num_steps).flush)
    written = [text for text in texts if text.text]
    if not written:
        raise EngineError(
            "nothing_written", "The net ended before the first word. Remove a stop string or change the seed."
        )
    return [_draft(run, text) for text in written]


def _draft(run: Run, text: GrowingText) -> ArtifactDraft:
    return run.draft(
        text.index,
        data=text.text.encode(),
        media_type="text/plain; charset=utf-8",
        seed=text.seed,
        output_verdicts=text.verdicts(run.judge),
        mark=marking.text_mark_of(run.mark_key, text.newest.mark_strength),
        fingerprint=marking.text_fingerprint(text.text),
        num_tokens=text.newest.num_tokens,
        finish_reason=text.ticket.finish_reason or "",
        excerpt=text.text[:EXCERPT_CHARS],
    )
