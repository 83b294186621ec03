"""What .ci/run promises: the README's own command, strictly."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_ci_runs_the_command_that_the_readme_names() -> None:
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1].removeprefix("exec ")
    assert f"\n{command} " in (ROOT / "README.md").read_text()


def test_ci_lets_nothing_be_skipped() -> None:
    assert "export TESSERA_TEST_STRICT=1" in (ROOT / ".ci" / "run").read_text()
