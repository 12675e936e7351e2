"""Consent: asking the user before a tool runs that says it may destroy something, where the caller's toolset wants it.

The user is asked through the client (MCP, elicitation), in either era; a caller who cannot be asked has asked them
itself, and says so. Nothing has run until they say yes.
"""

import asyncio
from typing import Any

import msgspec

from toolbox.calls.executor import Outcome
from toolbox.definitions import ToolDefinition
from toolbox.errors import ToolError
from toolbox.tools.client import SILENT, Client, Elicitation, Elicited, MissingCapability

KEY = "toolbox_consent"
PATIENCE_SECONDS = 600.0
"""How long the user may think it over, where the call waits meanwhile."""

MAX_SHOWN = 1_000
NOTHING_TO_FILL_IN: dict[str, Any] = {"type": "object", "properties": {}}


def needs_consent(definition: ToolDefinition) -> bool:
    """Whether a tool says that it may destroy something; one that says nothing is not taken to."""
    return definition.annotations.destructive_hint is True


async def ask_for_consent(client: Client, definition: ToolDefinition, arguments: dict[str, Any]) -> Outcome | None:
    """None if the user says yes; else what came of the call that was not made.

    Raises:
        InputRequired: The client is asked by ending this run.
    """
    name = definition.name
    if client is SILENT:
        return _refuse(
            name, 'Who calls over REST says `"consent": true` (`toolbox call --yes`) when they have said yes'
        )
    question = Elicitation(message=_ask(definition, arguments), requested_schema=NOTHING_TO_FILL_IN)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = await client.ask({KEY: question})
        elicited = msgspec.convert(answers[KEY], Elicited)
    except MissingCapability as error:
        return _refuse(name, f"That needs a client that can show forms (elicitation): {error.why}")
    except TimeoutError:
        return _decline(name, f"the user did not answer within {PATIENCE_SECONDS:g} s")
    except ToolError as error:
        return _decline(name, str(error))
    except msgspec.ValidationError as error:
        return _decline(name, f"the client's answer is none: {error}")
    if elicited.action == "accept":
        return None
    return _decline(name, "the user declined" if elicited.action == "decline" else "the user closed the question")


def _ask(definition: ToolDefinition, arguments: dict[str, Any]) -> str:
    title = f"{definition.title} ({definition.name})" if definition.title else definition.name
    shown = msgspec.json.encode(arguments).decode()
    if len(shown) > MAX_SHOWN:
        shown = f"{shown[:MAX_SHOWN]}… ({len(shown):,} characters)"
    return f"Run {title}? It says that it may destroy something.\nArguments: {shown}"


def _refuse(name: str, what_to_do: str) -> Outcome:
    said = f"{name} was not run: it may destroy something, and the user has to be asked first. {what_to_do}"
    return Outcome(error_code="consent_needed", error_message=said)


def _decline(name: str, why: str) -> Outcome:
    return Outcome(error_code="declined", error_message=f"{name} was not run: {why}")
