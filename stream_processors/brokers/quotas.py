"""Quotas of principals at the brokers, so that one flood does not delay the others (KIP-546)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeClientQuotasRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from silenthit.bus.rights import Principal
from silenthit.bus.settings import KafkaSettings
from silenthit.bus.tls import aiokafka_options
from silenthit.errors import RefusedError, RetryError

_TEXT = String("utf-8")
_ENTITY = Array(("entity_type", _TEXT), ("entity_name", _TEXT))
_EXACT = 0

Entity = tuple[str, str]  # Kafka's: its kind, `user` or `client-id`, and its name


class _AlterClientQuotasResponse(Response):  # type: ignore[misc]  # aiokafka has no hints
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(("error_code", Int16), ("error_message", _TEXT), ("entity", _ENTITY)),
        ),
    )


class _AlterClientQuotasStruct(RequestStruct):  # type: ignore[misc]  # the same
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterClientQuotasResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY),
                ("ops", Array(("key", _TEXT), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterClientQuotas(Request[_AlterClientQuotasStruct]):  # type: ignore[misc]  # the same
    """The request that aiokafka does not have, in its own terms."""

    API_KEY = 49

    def __init__(self, entity: Entity, quotas: Mapping[str, float | None]) -> None:
        operations = [(key, value or 0.0, value is None) for key, value in quotas.items()]
        self._entries = [([entity], operations)]

    def build(self, request_struct_class: type[_AlterClientQuotasStruct]) -> Any:
        """Return the request in the version that was agreed."""
        return request_struct_class(self._entries, False)


def user(principal: Principal) -> Entity:
    """Return what Kafka's quotas know a principal as."""
    return "user", principal.common_name


def set_quotas(settings: KafkaSettings, entity: Entity, quotas: Mapping[str, float | None]) -> None:
    """Set what an entity may use of each broker; None lifts a quota.

    Keys are Kafka's: `producer_byte_rate`, `consumer_byte_rate` (bytes/s), `request_percentage`.
    Raises RefusedError without the right, RetryError when no broker answers.
    """
    answer = asyncio.run(_ask(settings, _AlterClientQuotas(entity, quotas)))
    for code, *_ in answer.entries:
        if code:
            raise RefusedError(
                f"expected to set quotas at the broker, got its error {code}; run this as the "
                "operator, against Apache Kafka"
            )


def quotas_of(settings: KafkaSettings, entity: Entity) -> dict[str, float]:
    """Return the quotas that are in force. Raises RetryError when no broker answers."""
    kind, name = entity
    answer = asyncio.run(_ask(settings, DescribeClientQuotasRequest([(kind, _EXACT, name)], True)))
    return {name: value for _, values in answer.entries or () for name, value in values}


async def _ask(settings: KafkaSettings, request: Request[Any]) -> Any:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers,
        client_id="silenthit-quotas",
        **aiokafka_options(settings),
    )
    try:
        await admin.start()
        return await admin._send_to_controller(request)  # noqa: SLF001 its way for new requests
    except KafkaError as error:
        raise RetryError(
            f"expected the broker to set quotas, got {type(error).__name__}; try again"
        ) from None
    finally:
        await admin.close()
