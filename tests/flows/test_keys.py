"""Keys on the command line, and the server that asks for them."""

from collections.abc import Callable

from tests.flows.conftest import Server, run_toolbox

Serve = Callable[..., Server]
ADMIN_KEY = "a key of the operator"


def test_a_server_with_keys_lets_nobody_in_without_one(serve: Serve, database_url: str) -> None:
    server = serve(DATABASE_URL=database_url, API_KEY=ADMIN_KEY)
    assert "Access   callers need a key" in server.report

    def find(**environment: str) -> tuple[int, str]:
        done = run_toolbox("find", "convert miles", "--url", server.url, **environment)
        return done.returncode, done.stdout + done.stderr

    status, said = find()
    assert (status, "a key is needed" in said, said.endswith("; commands send the one in API_KEY\n")) == (1, True, True)
    assert find(API_KEY=ADMIN_KEY)[0] == 0
    created = run_toolbox("keys", "create", "ci", DATABASE_URL=database_url)
    assert "the first key: callers without one are refused" in created.stderr
    secret = created.stdout.strip()
    assert (created.returncode, secret[:4]) == (0, "tbx_")
    status, said = find(API_KEY=secret)
    assert (status, "calculator_convert_unit" in said) == (0, True)
    assert "tools:read" in run_toolbox("keys", "list", DATABASE_URL=database_url).stdout
    assert run_toolbox("keys", "revoke", "ci", DATABASE_URL=database_url).returncode == 0
    status, said = find(API_KEY=secret)
    assert (status, "the key is none that works here" in said) == (1, True)


def test_a_server_that_others_can_reach_needs_keys_to_start(serve: Serve, database_url: str) -> None:
    refused = run_toolbox("serve", "--host", "0.0.0.0", "--port", "0", DATABASE_URL=database_url)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("Error: HOST=0.0.0.0 can be reached by others, and there is no key")
    assert run_toolbox("keys", "create", "first", "--admin", DATABASE_URL=database_url).returncode == 0
    server = serve("--host", "0.0.0.0", DATABASE_URL=database_url)
    assert "Access   callers need a key" in server.report
