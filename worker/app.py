"""The Celery app. Of Celery we take the process pool and the wake-up; everything else is in SQL."""

from __future__ import annotations

from celery import Celery
from kombu.entity import Queue

from backpropd.bell import QUEUE, transport_options
from backpropd.settings import Settings

settings = Settings()

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
    # A second message stays with the broker while every slot is busy.
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=settings.broker_url.startswith("redis"),
    worker_cancel_long_running_tasks_on_connection_loss=True,
    # Try to reach the broker for ever: the default gives up after a hundred times.
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=2,
    broker_pool_limit=10,
    broker_pool_acquire_timeout=2,
    # The reconciler is the retry.
    task_publish_retry=False,
    task_serializer="json",
    event_serializer="json",
    accept_content=["json"],
    task_create_missing_queues=False,
    task_queues=[Queue(QUEUE)],
    task_default_queue=QUEUE,
    # Less pub/sub to break on a reconnect, and nobody can shut a worker down from the broker.
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_max_tasks_per_child=100,
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
