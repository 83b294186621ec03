"""`manage.py verify_audit_log`: computes the hash chains of the audit logs anew and names the first broken entry."""

import argparse
import re
from typing import Any

from django.core.management.base import CommandError

from webapp.workspaces import audit
from webapp.workspaces.management.started import StartedCommand
from webapp.workspaces.models import Workspace


class Command(StartedCommand):
    """Check that nobody has changed the audit log of one workspace, or of all."""

    help = "Check that nobody has changed the audit log of one workspace, or of all. Fails on the first broken entry."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Django's hook."""
        parser.add_argument("--workspace", metavar="SLUG", help="only this workspace")
        parser.add_argument("--expect", metavar="NUMBER:HASH", help="a head noted earlier, which must still be there")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's hook."""
        expected = _head(options["expect"])
        if expected is not None and not options["workspace"]:
            raise CommandError("--expect is the head of one log: name its --workspace")
        workspaces = Workspace.objects.order_by("slug")
        if options["workspace"]:
            workspaces = workspaces.filter(slug=options["workspace"])
            if not workspaces:
                raise CommandError(f"There is no workspace {options['workspace']!r}.")
        broken = []
        for workspace in workspaces:
            report = audit.verify(workspace.id, expected=expected)
            if report.broken_at is not None:
                broken.append(f"{workspace.slug}: entry {report.broken_at} is broken: {report.problem}.")
                continue
            head = f"{report.num_entries}:{report.head_hash}"
            self.stdout.write(f"{workspace.slug}: {report.num_entries} entries, unbroken. Head {head}")
            for number in report.clock_back_at:
                self.stdout.write(f"{workspace.slug}: entry {number} is dated before the one it follows (the clock).")
        if broken:
            raise CommandError("\n".join(broken))


def _head(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip())
    if found is None:
        raise CommandError(f"--expect {text!r}: write it as it was printed, NUMBER:HASH with 64 hexadecimal digits")
    return int(found[1]), found[2]
