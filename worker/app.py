"""The Celery app. Of Celery we take the process pool and the wake-up; everything else is in SQL."""

from __future__ import annotations

import os

from celery import Celery
from kombu.entity import Queue

from backpropd.bell import QUEUE, transport_options
from backpropd.settings import Settings

settings = Settings()

# KiB that a child may hold before it makes room for a new one: all of them, 60 % of the machine.
MEMORY_KIB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
CHILD_MEMORY_KIB = int(0.6 * MEMORY_KIB / settings.slots)

app = Celery("backpropd", include=["worker.tasks"])
app.conf.update(
    broker_url=settings.broker_url,
    broker_transport_options=transport_options(settings.broker_url),
    # SQL holds the results: one source of truth.
    task_ignore_result=True,
    result_backend=None,
    # The lease in SQL redelivers; a message is acknowledged before the work begins, so no broker
    # timeout, reconnect or redelivery can touch a run.
    task_acks_late=False,
    task_reject_on_worker_lost=False,
    # A second message stays with the broker while every slot is busy (Redis alone can do it).
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=settings.broker_url.startswith("redis"),
    # Acts on late acknowledgement alone, which is not used; said, so that Celery does not warn.
    worker_cancel_long_running_tasks_on_connection_loss=True,
    # Try to reach the broker for ever: the default gives up after a hundred times.
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_consumer="worker.consumer:PromptConsumer",
    # No process waits for a dead broker for longer than this.
    broker_connection_timeout=2,
    broker_pool_limit=10,
    broker_pool_acquire_timeout=2,
    # The reconciler is the retry.
    task_publish_retry=False,
    # A forged message can at most make a worker look for work.
    task_serializer="json",
    event_serializer="json",
    accept_content=["json"],
    task_create_missing_queues=False,
    task_queues=[Queue(QUEUE)],
    task_default_queue=QUEUE,
    # Less pub/sub to break on a reconnect, and nobody can shut a worker down from the broker.
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    # A slow leak ends here. Both are looked at between tasks; the hard bound is RLIMIT_AS.
    worker_max_tasks_per_child=100,
    worker_max_memory_per_child=CHILD_MEMORY_KIB,
    # The default of 4 seconds is short for importing NumPy on a busy machine.
    worker_proc_alive_timeout=30,
    # Only the backstop: a drained job is handed back within a tick.
    worker_soft_shutdown_timeout=20,
    # A job's time counts over its attempts, so its limit lives in SQL.
    task_time_limit=None,
    task_soft_time_limit=None,
    worker_hijack_root_logger=False,
    enable_utc=True,
    timezone="UTC",
)
