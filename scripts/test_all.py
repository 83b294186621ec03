"""`make test`: installs a browser and PostgreSQL where it may, then runs every test, the site's on both databases.

Under TESSERA_TEST_STRICT=1 (.ci/run) whatever is missing or skipped is a failure; otherwise it is said loudly.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from scripts import own_postgres

ROOT = Path(__file__).resolve().parent.parent
IS_STRICT = bool(os.environ.get("TESSERA_TEST_STRICT"))
ON_POSTGRES = ["tests/webapp", "tests/bridge"]
SIDE_BY_SIDE = ["--numprocesses=logical", "--dist=worksteal"]


def say(words: str) -> None:
    """A line that stands out between the runs."""
    print(f"\n==== {words}", flush=True)


def install_missing_packages() -> None:
    """Chromium and PostgreSQL from Debian's packages, when we are root and they are not here."""
    wanted = {"chromium": shutil.which("chromium") is None, "postgresql": own_postgres.programs() is None}
    missing = [name for name, is_missing in wanted.items() if is_missing]
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    say(f"Installing {' and '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL, check=False)


def run_pytest(*arguments: str, **variables: str) -> Counter[str]:
    """One run of pytest in a process of its own; returns how many tests ended how."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report.name}", *arguments]
        status = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode
        counts: Counter[str] = Counter()
        if Path(report.name).stat().st_size:
            for suite in ET.parse(report.name).getroot().iter("testsuite"):
                counts.update({name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")})
    counts["broken_runs"] = int(status not in (0, 1))
    return counts


def main() -> int:
    """Run everything; the last line counts it."""
    install_missing_packages()
    say("Every test, on SQLite")
    counts = run_pytest("-m", "not browser and not stack", *SIDE_BY_SIDE)
    say("Those with a browser or the whole stack, one after the other")
    counts += run_pytest("-m", "browser or stack")
    programs = own_postgres.programs()
    if programs is None:
        say("SKIPPED: the site's tests on PostgreSQL. Install Debian's package `postgresql`.")
        counts["skipped_runs"] += 1
    else:
        say("The site's tests again, on PostgreSQL")
        with own_postgres.started(programs) as url:
            folders = [folder for folder in ON_POSTGRES if (ROOT / folder).is_dir()]
            counts += run_pytest("-m", "not browser and not stack", *SIDE_BY_SIDE, *folders, TESSERA_DATABASE_URL=url)
    num_failed = counts["failures"] + counts["errors"] + counts["broken_runs"]
    num_skipped = counts["skipped"] + counts["skipped_runs"]
    num_passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    if IS_STRICT and num_skipped:
        say(f"{num_skipped} skipped, and nothing may be skipped here (TESSERA_TEST_STRICT=1)")
        num_failed += num_skipped
    print(f"\n{num_passed} passed, {num_failed} failed, {num_skipped} skipped", flush=True)
    return int(num_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
