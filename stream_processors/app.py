"""Wire the matching worker to Faust: which tasks run, and what is told when partitions move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faust
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.types import TP, StreamT

from schemas.topics import TOUCHES
from silenthit.bus.clients import KafkaSettings
from silenthit.bus.tls import aiokafka_options
from silenthit.metrics import Metric, export, serve_metrics
from stream_processors.exchange import WAITING, Exchange
from stream_processors.match_worker import MatchWorker
from stream_processors.settings import ExchangeSettings
from stream_processors.transport import PromptTransport

SESSION_S = 10.0  # how long a killed worker keeps its partitions from the others
HEARTBEAT_S = 2.0
COMMIT_S = 1.0


def make_app(settings: ExchangeSettings, *, name: str, ready_file: Path | None = None) -> faust.App:
    """Return the Faust app of one matching worker.

    `ready_file` is made once the worker owns its partitions and its index holds every watch.
    """
    app = faust.App(
        settings.name,
        broker=f"kafka://{settings.bus.agency.bootstrap_servers}",
        broker_credentials=_credentials(settings.bus.agency),
        datadir=settings.data / name,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_S,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_rebalance_timeout=30.0,
        stream_wait_empty=False,
        stream_buffer_maxsize=WAITING,
    )
    app.transport = transport = PromptTransport(app.conf.broker_consumer, app)
    transport.batched = frozenset({TOUCHES.name})
    touches = app.topic(
        TOUCHES.name, key_serializer="raw", value_serializer="raw", allow_empty=True
    )
    exchange = Exchange(app, settings, name=name)
    transport.before_revoked = exchange.settle

    def ready() -> None:
        if ready_file is not None:
            ready_file.touch()

    @app.agent(touches, name="match")
    async def receive(stream: StreamT[bytes]) -> None:
        await exchange.receive(stream)

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]
    async def assigned(app: faust.App, assigned: set[TP], **_: Any) -> None:
        exchange.assigned(assigned)
        app.add_future(exchange.essential(lambda: exchange.take_over(ready)))

    @app.on_before_shutdown.connect  # type: ignore[arg-type]
    async def stopping(_: faust.App, **_more: Any) -> None:
        await exchange.close()

    @app.task  # type: ignore[untyped-decorator]
    async def start() -> None:
        for work in (
            exchange.match,
            exchange.follow_watches,
            exchange.follow_sent,
            exchange.follow_organisations,
            exchange.save_snapshots,
            exchange.look_after,
            exchange.show_life,
        ):
            app.add_future(exchange.essential(work))

    if settings.metrics_port is not None:
        _show_metrics(exchange.worker, settings.metrics_port)
    return app


def _credentials(bus: KafkaSettings) -> Credentials | None:
    """Say in Faust's words what `security` says in librdkafka's."""
    options = aiokafka_options(bus)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            mechanism=options["sasl_mechanism"],
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return SSLCredentials(context=context) if context else None


def _show_metrics(worker: MatchWorker, port: int) -> None:
    tally = worker.tally
    export(
        {
            Metric.TOUCHES: lambda: tally.touches,
            Metric.RETRACTIONS: lambda: tally.retractions,
            Metric.STALE: lambda: tally.stale,
            Metric.ALERTS: lambda: tally.alerts,
            Metric.QUARANTINED: lambda: tally.quarantined,
            Metric.WATCHES: lambda: len(worker.index),
        }
    )
    serve_metrics(port)
