"""Tools that ask their client: the same code for the handshake era, which is asked at once, and the stateless one."""

from typing import Any

from toolbox import Elicitation, Elicited, ListRoots, Sampling, SamplingMessage, TextContent, ToolContext


def form(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """A form to fill in."""
    return {"type": "object", "properties": properties, "required": list(required)}


NAME = form("name", name={"type": "string"})
TEXT = {"type": "string"}
CAPITAL = Sampling(messages=(SamplingMessage("user", TextContent("What is the capital of France?")),), max_tokens=100)


def told(answer: Elicited) -> str:
    """What the suite wants to read."""
    return f"action={answer.action}, content={answer.content}"


async def test_sampling(prompt: str, context: ToolContext) -> str:
    """Ask the client's model."""
    answer = await context.sample("completion", prompt, max_tokens=100)
    return f"LLM response: {answer.text}"


async def test_elicitation(message: str, context: ToolContext) -> str:
    """Ask the user for a name and an address."""
    described = TEXT | {"description": "User's response"}
    schema = form("username", "email", username=described, email=TEXT | {"description": "User's email address"})
    return f"User response: {told(await context.elicit('user', message, schema))}"


async def test_elicitation_sep1034_defaults(context: ToolContext) -> str:
    """Ask with a default for every kind of field."""
    schema = form(
        name=TEXT | {"default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return f"Elicitation completed: {told(await context.elicit('user', 'Please review the defaults', schema))}"


async def test_elicitation_sep1330_enums(context: ToolContext) -> str:
    """Ask for choices of every form."""
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second"), 1)]
    schema = form(
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return f"Elicitation completed: {told(await context.elicit('choices', 'Please choose', schema))}"


async def test_streaming_elicitation(context: ToolContext) -> str:
    """Say something first, then ask."""
    await context.report_progress(1, 2)
    return told(await context.elicit("user_name", "What is your name?", NAME))


async def test_missing_capability(context: ToolContext) -> str:
    """Ask the client's model, whether there is one or not."""
    return (await context.sample("completion", "Say something", max_tokens=10)).text


async def test_input_required_result_elicitation(context: ToolContext) -> str:
    """Ask for a name."""
    answer = await context.elicit("user_name", "What is your name?", NAME)
    return f"Hello, {answer.content.get('name')}!"


async def test_input_required_result_sampling(context: ToolContext) -> str:
    """Ask the client's model."""
    return (await context.sample("capital_question", "What is the capital of France?", max_tokens=100)).text


async def test_input_required_result_list_roots(context: ToolContext) -> str:
    """Ask for the client's folders."""
    return ", ".join(root.uri for root in await context.list_roots("client_roots")) or "no roots"


async def test_input_required_result_request_state(context: ToolContext) -> str:
    """Ask for a confirmation; that the state came back is seen by the answer."""
    await context.elicit("confirm", "Please confirm", form("ok", ok={"type": "boolean"}))
    return "state-ok"


async def test_input_required_result_tampered_state(context: ToolContext) -> str:
    """Ask for a confirmation, with a state that must not be changed."""
    await context.elicit("confirm", "Please confirm", form("ok", ok={"type": "boolean"}))
    return "state-ok"


async def test_input_required_result_multiple_inputs(context: ToolContext) -> str:
    """Ask for three things at once."""
    answers = await context.ask(
        {
            "user_name": Elicitation(message="What is your name?", requested_schema=NAME),
            "greeting": Sampling(messages=CAPITAL.messages, max_tokens=50),
            "client_roots": ListRoots(),
        }
    )
    return f"{len(answers)} answers"


async def test_input_required_result_multi_round(context: ToolContext) -> str:
    """Ask twice, the second time with what was said the first time."""
    first = await context.elicit("step1", "Step 1: What is your name?", NAME)
    name = first.content.get("name")
    second = await context.elicit("step2", f"Step 2: Which colour, {name}?", form("color", color=TEXT))
    return f"{name} likes {second.content.get('color')}"


async def test_input_required_result_capabilities(context: ToolContext) -> str:
    """Ask for no more than the client can do."""
    questions: dict[str, Elicitation | Sampling] = {}
    if context.supports("elicitation"):
        questions["user_name"] = Elicitation(message="What is your name?", requested_schema=NAME)
    if context.supports("sampling"):
        questions["capital_question"] = CAPITAL
    return ", ".join(await context.ask(questions))


TOOLS = [
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_streaming_elicitation,
    test_missing_capability,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
]
