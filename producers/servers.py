"""What the agent serves beside its sources: the HTTP intake, and the answers to tips' links."""

from __future__ import annotations

from producers.http_intake import HttpIntake
from producers.http_server import HttpServer
from producers.idempotency import Answers
from producers.intake import Intake
from producers.settings import AgencySettings, read_secret, read_token
from producers.tip_desk import open_replies, open_tips
from silenthit.call_tree.reply_app import reply_app


def servers(settings: AgencySettings, intake: Intake) -> tuple[HttpServer, ...]:
    """Every server of the configuration, listening. Raises SettingsError for an address in use."""
    made: tuple[HttpServer, ...] = ()
    if settings.intake is not None:
        answers = Answers(settings.outbox, read_secret(settings.keys.outbox))
        token = read_token(settings.intake.token) if settings.intake.token else ""
        served = HttpIntake(intake=intake, answers=answers, token=token)
        made += (HttpServer(settings.intake, served.app()),)
    if settings.replies is not None and settings.tips is not None:
        desk = open_replies(settings, open_tips(settings))
        made += (HttpServer(settings.replies, reply_app(desk)),)
    return made
