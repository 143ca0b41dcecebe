"""The bell between service and worker: its name, and how both sides treat its broker.

A bell carries nothing. It may be lost, doubled or forged: whoever hears it looks into the database
for work, and the reconciler rings again.
"""

from __future__ import annotations

from typing import Any

TASK = "train.work"
QUEUE = "cpu"


def transport_options(broker_url: str) -> dict[str, Any]:
    """Kombu's options for this broker; each keeps a dead broker from holding a live process."""
    if not broker_url.startswith(("redis", "rediss")):
        return {}
    return {
        # A bell is unacknowledged for milliseconds; the default sweep takes minutes.
        "visibility_timeout": 60,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        # Without these a publish on a dead link waits for ever, and health checks never run.
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "global_keyprefix": "backpropd:",
    }
