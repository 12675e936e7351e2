"""What a source may be, and who may have it installed."""

from typing import Any

import pytest

from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest, UpstreamFailed
from toolbox.upstreams.builds import find_program
from toolbox.upstreams.config import check_upstream
from toolbox.upstreams.sources import GitSource, PackageSource, read_source

COMMIT = "0" * 40


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("git+https://example.org/a/b.git", GitSource("https://example.org/a/b.git")),
        ("git+https://example.org:8443/a/b@v1.2", GitSource("https://example.org:8443/a/b", "v1.2")),
        (f"git+ssh://git@example.org/a/b@{COMMIT}", GitSource("ssh://git@example.org/a/b", COMMIT)),
        (
            "git+https://example.org/a@feature/x#subdirectory=src/pets",
            GitSource("https://example.org/a", "feature/x", "src/pets"),
        ),
        ("git+http://127.0.0.1:8000/a", GitSource("http://127.0.0.1:8000/a")),
        ("pypi:mcp-server-time==1.2.0", PackageSource("pypi", "mcp-server-time", "1.2.0")),
        ("npm:@scope/pets@1.0.0-beta.1", PackageSource("npm", "@scope/pets", "1.0.0-beta.1")),
        ("npm:pets", PackageSource("npm", "pets")),
    ],
)
def test_sources_are_read(text: str, source: Any) -> None:
    assert read_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "git+http://example.org/a",
        "git+file:///etc",
        "git+ext::sh -c touch% /tmp/x",
        "git+https://user:word@example.org/a",
        "git+https://user@example.org/a",
        "git+https://example.org/a/../b",
        "git+https://example.org/a@--upload-pack=touch",
        "git+https://example.org/a@main..other",
        "git+https://example.org/a@main:other",
        "git+https://example.org/a@-x",
        "git+https://-example.org/a",
        "git+ssh://-oProxyCommand=touch/a",
        "git+ssh://-x@example.org/a",
        "git+https://example.org/a#subdirectory=../..",
        "git+https://example.org/a#subdirectory=/etc",
        "git+https://example.org/a b",
        "--upload-pack=touch",
        "pypi:../pets",
        "pypi:--index-url=http://example.org",
        "pypi:pets @ file:///etc",
        "pypi:pets==1; import os",
        "npm:--prefix=/etc",
        "npm:../pets",
        "npm:pets@file:..",
        "npm:@scope/pets@git+https://example.org",
        "pets",
        "pypi:" + "a" * 600,
    ],
)
def test_what_could_be_an_option_or_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_source(text)


@pytest.mark.parametrize(
    ("options", "origin", "commands", "why"),
    [
        ({"source": "git+https://example.org/a"}, "api", ("npx",), "UPSTREAM_COMMANDS names git"),
        ({"source": "pypi:pets"}, "api", ("npx",), "UPSTREAM_COMMANDS names uv or uvx"),
        ({"source": "git+http://localhost/a"}, "api", ("git",), "by https or ssh"),
        ({"source": "git+https://example.org/a", "command": "../x"}, "import", (), "the name of a program"),
        ({"source": "pypi:-x"}, "settings", (), "no name of a package"),
        ({"source": "pypi:pets", "transport": "http", "url": "https://example.org"}, "import", (), "for stdio"),
    ],
)
def test_only_some_may_have_something_installed(
    options: dict[str, Any], origin: str, commands: tuple[str, ...], why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why):
        check_upstream(Upstream(name="a", **options), commands=commands, origin=origin)
    check_upstream(Upstream(name="a", source="pypi:pets==1.0"), commands=("uvx",), origin="api")
    check_upstream(Upstream(name="a", source="git+http://localhost/a"), commands=(), origin="import")


def test_a_program_of_npm_s_that_leads_out_of_its_package_is_not_run(tmp_path: Any) -> None:
    package = tmp_path / "node_modules" / "pets"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "pets", "bin": "../../../secret.js"}')
    with pytest.raises(UpstreamFailed, match="leads out of its folder"):
        find_program(PackageSource("npm", "pets"), tmp_path, None, commands=())
