"""What an operator may set, from the environment, with the prefix BACKPROPD_.

Every process of a deployment reads the same few settings here; `backpropd up` fills them in for
the processes it starts.
"""

from __future__ import annotations

import os
import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

RATE = re.compile(r"[1-9][0-9]{0,6}/(second|minute|hour|day)")


class Settings(BaseSettings):
    """The settings of one process; see docs/reference/settings.md."""

    model_config = SettingsConfigDict(env_prefix="BACKPROPD_", frozen=True)

    database_url: str = Field(
        default="sqlite:///backpropd-data/backpropd.sqlite",
        description="SQLAlchemy address of the database: sqlite:///FILE or postgresql://...",
    )
    broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="Celery's broker: redis://, rediss://, redis+socket:// or sqla+sqlite:///FILE.",
    )
    slots: int = Field(
        default=os.cpu_count() or 1, ge=1, le=1024, description="Jobs one worker trains at once."
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Threads of the matrix products of one job; with slots, the cores that are "
        "taken.",
    )
    lease_seconds: float = Field(
        default=10.0,
        gt=0,
        description="A running job whose beat has not changed for this long is rescued.",
    )
    beat_seconds: float = Field(
        default=2.0, gt=0, description="How often a worker commits its beat and the new history."
    )
    checkpoint_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Seconds between checkpoints; unset, the interval follows Young and Daly.",
    )
    keys_required: bool = Field(
        default=False,
        description="Refuse requests without a key although there has never been one.",
    )
    trusted_hosts: str = Field(
        default="",
        description="Names under which the API is asked, with commas between them.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=8,
        description="Proxies before the API whose X-Forwarded-For is believed.",
    )
    rate_per_key: str | None = Field(
        default="500/second", description="Requests of one key to one API process; empty: any."
    )
    auto_kernels: bool = Field(
        default=True,
        description="Whether jobs that ask for no kernel may have machine code, and common kernels "
        "are compiled ahead in the background.",
    )
    keep_days: int | None = Field(
        default=None, ge=1, description="Days after its end for which a job is kept."
    )
    keep_jobs: int | None = Field(
        default=None, ge=1, description="How many ended jobs of each owner are kept, the newest."
    )
    keep_history_days: int | None = Field(
        default=None, ge=1, description="Days for which the history of an ended job is kept."
    )
    keep_snapshots_days: int | None = Field(
        default=None, ge=1, description="Days for its snapshots but the final one."
    )
    keep_checkpoints_days: int | None = Field(
        default=None, ge=1, description="Days for the state from which it can be extended."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or JSON for programs."
    )

    @field_validator("rate_per_key")
    @classmethod
    def _readable_rate(cls, rate: str | None) -> str | None:
        if rate and not RATE.fullmatch(rate):
            raise ValueError("a rate is a number, /, and second, minute, hour or day")
        return rate or None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of trusted_hosts."""
        return tuple(name.strip() for name in self.trusted_hosts.split(",") if name.strip())
