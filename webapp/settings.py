"""All Django, Celery and Channels settings. Values come from `env.py`; nothing here reads the environment."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import dj_database_url
import structlog

from genworkers.contract.names import MAX_BODY_BYTES, SITE_QUEUE
from webapp.env import BASE_DIR, read_environment

ENV = read_environment()
DATA_DIR: Path = ENV.data_dir.resolve()
BASE_URL = ENV.base_url.rstrip("/") or f"http://{ENV.host}:{ENV.port}"


def _own_secret(name: str) -> str:
    """A secret of this data directory, made once whoever comes first."""
    path = DATA_DIR / name
    if not path.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=DATA_DIR) as draft:  # mode 0600
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text()


SECRET_KEY = ENV.secret_key or _own_secret("secret_key")
# The keys of all marks are made from it: who has it can find and forge them, and without it none is ever found again.
MARK_SECRET = ENV.mark_secret or _own_secret("mark_secret")
DEBUG = ENV.debug
ALLOWED_HOSTS = [host.strip() for host in ENV.allowed_hosts.split(",") if host.strip()]
CSRF_TRUSTED_ORIGINS = [BASE_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "django_htmx",
    "channels",
    "ninja",
    "webapp.accounts",
    "webapp.workspaces",
    "webapp.safety",
    "webapp.provenance",
    "webapp.gallery",
    "webapp.catalog",
    "webapp.jobs",
    "webapp.review",
    "webapp.studio",
    "webapp.api",
    "genworkers.tasks",  # for its management commands, which alone load nets
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.middleware.ContentSecurityPolicyMiddleware",
    "webapp.middleware.StaticFilesMiddleware",
    "webapp.api.middleware.ApiMiddleware",
    "webapp.body_limit.body_limit_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webapp.middleware.AppErrorMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.studio.context.studio",
            ]
        },
    }
]

DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(ENV.database_url, conn_max_age=60, conn_health_checks=True)
    if ENV.database_url
    else {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "tessera.sqlite3",
        "TEST": {"NAME": DATA_DIR / "test.sqlite3"},  # in memory, threads would share one connection's locks
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = ENV.redis_url or f"unix://{DATA_DIR}/redis/redis.sock"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "tessera"},
    }
}

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Shared by all web processes: who asked how often.
    "rates": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "rates"},
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "sesame.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ACCOUNT_ADAPTER = "webapp.accounts.adapter.InvitedOnlyAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGIN_URL = "account_login"
SESAME_ONE_TIME = True
SESAME_MAX_AGE = 24 * 3600
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

SESSION_COOKIE_NAME = f"tessera_session_{ENV.port}"  # cookies ignore ports: two studios on one host must not meet
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
BLOBS_DIR = DATA_DIR / "blobs"
STORAGES = {
    "default": {"BACKEND": "webapp.gallery.storage.WholeFileStorage", "OPTIONS": {"location": BLOBS_DIR}},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
NETS_DIR = ENV.nets_dir
SCREENS_DIR = BASE_DIR / "genworkers" / "weights" / "screens"  # not the operator's to choose: they come with the code
AUDITS_DIR = BASE_DIR / "docs" / "experiments"  # so do the audits
ADDED_NETS_DIR = DATA_DIR / "nets"  # written by `manage.py add_net`, as the next
ADAPTERS_DIR = DATA_DIR / "adapters"
TOKENIZERS_DIR = DATA_DIR / "tokenizers"
AUTHORITY_DIR = DATA_DIR / "authority"
SIGNING_CHAIN_FILE, SIGNING_KEY_FILE = ENV.signing_chain, ENV.signing_key
TIMESTAMP_URL = ENV.timestamp_url
PUBLIC_TRUST_FILE = ENV.public_trust
VERIFY_RATE = ENV.verify_rate
NINJA_NUM_PROXIES = ENV.num_proxies

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

LEASE_S = ENV.lease_s
DEADLINE_S = ENV.deadline_s
MAX_ATTEMPTS = ENV.max_attempts
MAX_QUEUED_JOBS = ENV.max_queued_jobs
# How many jobs of a kind run at once: the task threads of its workers, which share one engine's batch.
ENGINE_SLOTS = {"text": ENV.text_slots, "image": ENV.image_slots}
# The text and the image worker share the machine, and nets of ten million weights gain nothing from many threads.
ENGINE_THREADS = ENV.threads or min(4, max(1, (os.cpu_count() or 1) // 2))
# Pictures are drawn by threads that never wait for each other, so they may take every core while nobody writes.
IMAGE_THREADS = ENV.threads or min(4, os.cpu_count() or 1)
IMAGE_MEMORY_BYTES = ENV.image_memory_mb * 2**20 or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8
TEXT_MEMORY_BYTES = int(ENV.text_memory_gb * 2**30) or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
TEXT_PRECISION = ENV.text_precision
WATTS_PER_CORE = ENV.watts_per_core
# Ember, "Global Electricity Review 2024": 480 g of CO2 equivalents a kWh in 2023, with all that belongs to it.
GRID_G_PER_KWH, GRID_NAME = ENV.grid_g_per_kwh, ENV.grid_name

# Celery's defaults lose work: ack on receipt, prefetch of four, results kept. See docs/ARCHITECTURE.md.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": int(DEADLINE_S) + 60}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = SITE_QUEUE
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "reap expired leases": {"task": "webapp.jobs.reap", "schedule": max(1.0, LEASE_S / 4), "options": {"expires": 60}},
    "sweep the outbox": {"task": "webapp.jobs.sweep_outbox", "schedule": 5.0, "options": {"expires": 60}},
    "sweep leftovers": {"task": "webapp.jobs.sweep_leftovers", "schedule": 3600.0, "options": {"expires": 3600}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.dev.ConsoleRenderer(colors=False),
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso"),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENV.log_level},
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
