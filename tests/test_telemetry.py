"""Traces where nobody wants them, and how spans are named."""

from toolbox.telemetry import current_trace_id, describe_statement, inject_context, is_tracing, span


def test_without_a_collector_there_is_nothing() -> None:
    carrier = dict[str, str]()
    with span("anything") as recorded:
        recorded.set("key", "value")
        inject_context(carrier)
        assert current_trace_id() is None
    assert (is_tracing(), carrier) == (False, {})


def test_a_statement_is_named_by_what_it_does() -> None:
    name, described = describe_statement("\n  select *\n  from tools where id = $1")
    assert name == "SELECT"
    assert described["db.query.text"] == "select * from tools where id = $1"
    assert describe_statement("")[0] == "SQL"
