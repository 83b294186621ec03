"""The environment is read here and nowhere else: every `TESSERA_` variable, its type, default and meaning.

A wrong value stops the start and is named. `TESSERA_X_FILE` names a file that holds the value of
`TESSERA_X`, for secrets. `.env.example` lists the same variables; a test compares them.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "TESSERA_"
NOT_STARTED = (
    "Nothing has been started in {} yet: run `make up` first, or set TESSERA_DATA_DIR (and TESSERA_DATABASE_URL, "
    "if you use it) to what it uses."
)
BASE_DIR = Path(__file__).resolve().parent.parent


class Environment(BaseSettings):
    """What an operator can set. The description is what `.env.example` says."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=BASE_DIR / ".env", extra="ignore")

    data_dir: Path = Field(BASE_DIR / "var", description="Everything that must survive a restart.")
    port: int = Field(8000, ge=1, le=65535, description="The port of the site.")
    host: str = Field("127.0.0.1", description="The address that the site listens on.")
    base_url: str = Field("", description="The address that people type; empty means http://HOST:PORT.")
    allowed_hosts: Annotated[str, NoDecode] = Field(
        "localhost,127.0.0.1,[::1]", description="Host names that the site answers to, with commas."
    )
    debug: bool = Field(False, description="Detailed error pages; never in production.")
    secret_key: str = Field("", description="Signs sessions; empty makes one and keeps it in the data directory.")
    mark_secret: str = Field(
        "",
        description="Makes the keys of the marks; empty makes one and keeps it in the data directory. Never lose it.",
    )
    signing_chain: Path | None = Field(
        None, description="PEM file: your C2PA certificate, then those above it; empty signs with the studio's own."
    )
    signing_key: Path | None = Field(None, description="PEM file with the private key of that certificate.")
    timestamp_url: str = Field("", description="A time-stamping authority (RFC 3161) for signatures; empty asks none.")
    public_trust: Path | None = Field(
        None, description="PEM file of the roots that count as publicly trusted, such as the C2PA trust list."
    )
    num_proxies: int = Field(
        0, ge=0, le=10, description="Proxies in front of the site, whose X-Forwarded-For is believed."
    )
    verify_rate: str = Field(
        "30/m", pattern=r"^[1-9]\d*/[smhd]$", description="How often one address may ask the verify page."
    )
    database_url: str = Field("", description="postgresql://...; empty means SQLite in the data directory.")
    redis_url: str = Field("", description="redis://...; empty means the embedded server.")
    nets_dir: Path = Field(BASE_DIR / "genworkers" / "weights", description="One folder per net.")
    owner_email: str = Field("owner@tessera.local", description="The first owner, made at first start.")
    lease_s: float = Field(20.0, ge=1.0, le=3600.0, description="A worker silent for so long loses its job.")
    deadline_s: float = Field(900.0, ge=1.0, le=86400.0, description="A job older than this expires.")
    max_attempts: int = Field(3, ge=1, le=10, description="How often a job whose worker died is run.")
    max_queued_jobs: int = Field(
        500, ge=1, le=100_000, description="More waiting jobs of a kind are refused; one user may have half of them."
    )
    text_slots: int = Field(
        64, ge=1, le=100_000, description="Text jobs that run at once: the --concurrency of all text workers together."
    )
    image_slots: int = Field(8, ge=1, le=100_000, description="The same for pictures.")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of each net; 0: half of the cores, at most 4.")
    text_memory_gb: float = Field(
        0.0,
        ge=0.0,
        le=1e5,
        description="Weights and caches of all text nets together, in GiB; 0: a quarter of the memory.",
    )
    text_precision: Literal["float32", "bfloat16", "int8"] = Field(
        "bfloat16", description="Of the weights of text nets; int8 is fastest."
    )
    image_memory_mb: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="What pictures of running jobs may take beside the nets, in MiB; 0: an eighth of the memory.",
    )
    watts_per_core: float = Field(
        4.0,
        ge=0.0,
        le=1000.0,
        description="Power of a busy processor thread, where no counter of the machine can be read.",
    )
    grid_g_per_kwh: float = Field(
        480.0, ge=0.0, le=5000.0, description="Grams of CO2 for a kilowatt-hour of your electricity; 0 shows none."
    )
    grid_name: str = Field("world average of 2023, Ember", description="Where that number is from.")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="How much is logged.")


def _with_file_variants() -> None:
    for name in Environment.model_fields:
        variable = f"{PREFIX}{name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if path is None:
            continue
        if variable in os.environ:
            raise SystemExit(f"{variable} and {variable}_FILE are both set; keep one of them.")
        try:
            os.environ[variable] = Path(path).read_text().strip()
            del os.environ[f"{variable}_FILE"]  # read once: child processes inherit the value
        except OSError as error:
            raise SystemExit(f"{variable}_FILE names {path!r}, which cannot be read: {error.strerror}.") from error


def read_environment() -> Environment:
    """The checked environment; a wrong value ends the process with one line per variable."""
    _with_file_variants()
    try:
        return Environment()
    except ValidationError as error:
        lines = [
            f"{PREFIX}{str(problem['loc'][0]).upper()} is {problem['input']!r}: {problem['msg']}."
            for problem in error.errors()
        ]
        raise SystemExit("\n".join(lines)) from error
