"""The pages are true: links lead somewhere, and what they show is run, or named here with where else it is run."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from tests.flows.conftest import TOOLBOX, Server, data_dir, environment, serve
from tests.flows.node import find_node
from tests.flows.test_mcp_clients import install_typescript_clients
from toolbox.settings import describe_settings, read_settings

__all__ = ["data_dir", "serve"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "charts/*/*.md", "plugins/*/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
SECONDS = 120
HTTP_ERROR = 22
"""With which curl ends here when the answer is an error."""

ELSEWHERE = {
    "pip install uv && .dev/run toolbox serve": "tests/flows/test_serve.py starts it; .ci/run installs it so",
    "pip install uv && .dev/run pytest": ".ci/run runs this very line",
    "$ tests/conformance/run.sh": "takes minutes; .ci/run runs a part of it",
    ".dev/run pytest": "each line is a step of .ci/run, or a tool of this folder",
    "uv pip install -e FOLDER": "would change this environment; tests/docs/test_plugin_template.py has one of its own",
    "docker run": "the image takes minutes to build; tests/image/run.sh runs it with the same options",
    ".dev/secrets >.env": "the same; tests/compose/run.sh starts all of it, and calls ToolBox",
    ".dev/secrets --kubernetes": "tests/chart/documented.py runs it, on an API server of its own",
    "mkdir -p base prod": "tests/chart/documented.py runs it, on an API server of its own",
    "toolbox upstreams install": "needs registries; tests/upstreams/test_commands.py installs a package of its own",
    "toolbox bridge": "needs npm, and never ends; tests/chart/bridge.py runs it, and tests/upstreams",
}
"""Blocks that are not run here, by how they begin, and why not."""

FOLLOWED = {"docs/api.md"}
"""Pages that are followed from top to bottom by tests of their own."""

PRELUDE = """
import asyncio, sys
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
import pytest
from msgspec import Meta
import toolbox
sys.path.insert(0, "docs/plugin-template")
import toolbox_greeting
def complete_city(typed, given): return []
"""
"""What the fragments on the page for plugin authors leave out."""


class Block(Struct, frozen=True):
    """A block of code on a page."""

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
            code = re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)
            yield Block(str(page.relative_to(ROOT)), text[: found.start()].count("\n") + 1, found[2], code)


def is_elsewhere(block: Block) -> bool:
    return any(block.code.startswith(start) for start in ELSEWHERE)


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [(page.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    pages = {page for page in PAGES if page.parent == ROOT / "docs"} - {ROOT / "docs/README.md"}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - reached) == []


def test_what_is_named_as_run_elsewhere_is_on_a_page() -> None:
    codes = [block.code for block in read_blocks()]
    assert [start for start in ELSEWHERE if not any(code.startswith(start) for code in codes)] == []


@pytest.mark.parametrize("block", [b for b in read_blocks() if b.language in {"json", "toml", "mermaid"}], ids=str)
def test_data_is_of_its_kind(block: Block) -> None:
    if block.language == "json":
        json.loads(block.code)
    elif block.language == "toml":
        tomllib.loads(block.code)
    else:
        assert block.code.startswith("flowchart ")


@pytest.mark.parametrize(
    "block", [b for b in read_blocks() if b.language == "python" and "://127" not in b.code], ids=str
)
def test_a_fragment_of_a_plugin_can_be_loaded(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    path = list(sys.path)
    exec(compile(PRELUDE + block.code, str(block), "exec"), {"__name__": "page", "__file__": __file__})
    sys.path[:] = path


def test_commands_and_programs_do_what_the_pages_show(
    serve: Callable[..., Server], data_dir: Path, database_url: str, tmp_path: Path
) -> None:
    """One server for all; what changes who may call gets a database of its own, and no server."""
    server = serve(DATA_DIR=str(data_dir))
    write_hosts_files(tmp_path)
    wrong = []
    for block in read_blocks():
        if block.page in FOLLOWED:
            continue
        own: dict[str, str] = {"DATA_DIR": str(data_dir)}
        if block.page in {"docs/security.md", "docs/secrets.md", "docs/toolsets.md"}:
            own = {"DATABASE_URL": database_url, "SECRET_KEY": "sixteen characters or more"}
        runner = Runner(block, server.url, tmp_path, own)
        if block.language == "toml":
            (tmp_path / "toolsets.toml").write_text(block.code)
        elif block.language == "python" and "://127" in block.code:
            wrong += runner.run_program([sys.executable, "-c"])
        elif "is ready" in block.code.partition("\n")[0]:
            report = re.sub(r", but degraded|  Problem  cpu.*\n", "", server.report)  # others may be busy here
            wrong += compare(str(block), block.code, report.replace(str(data_dir), "/home/ada/.local/share/toolbox"))
        elif all(re.match(r"[A-Z_]+=", line) for line in block.code.splitlines()):
            wrong += check_settings(block)
        elif block.language in {"", "sh"} and not is_elsewhere(block):
            wrong += runner.run_commands()
    assert wrong == [], "\n".join(wrong)


def test_programs_in_typescript_run(serve: Callable[..., Server], data_dir: Path, tmp_path: Path) -> None:
    node = find_node()
    folder = install_typescript_clients(node)
    server = serve(DATA_DIR=str(data_dir))
    blocks = [block for block in read_blocks() if block.language == "ts"]
    for block in blocks:
        runner = Runner(block, server.url, tmp_path, {})
        assert runner.run_program([node.command, "--input-type=module", "-e"], folder) == []
    assert blocks


def check_settings(block: Block) -> list[str]:
    """Lines of an environment file are settings, with values that they may have."""
    given = dict(line.partition("#")[0].strip().split("=", 1) for line in block.code.splitlines())
    known = {name for name, _, _ in describe_settings()}
    read_settings({name: value for name, value in given.items() if not name.endswith("_FILE")})
    return [f"{block}: {name} is no setting" for name in given if name.removesuffix("_FILE") not in known]


def write_hosts_files(folder: Path) -> None:
    """What a user has beside ToolBox: files of other hosts, which name a server."""
    server = {"command": "python", "args": [str(Path(__file__).with_name("clock_server.py"))]}
    for host, servers in ((".cursor", {"files": server}), (".vscode", {"clock": server})):
        (folder / host).mkdir()
        (folder / host / "mcp.json").write_text(json.dumps({"mcpServers": servers}))


class Runner:
    """Runs what a block shows, and says what differs."""

    def __init__(self, block: Block, url: str, folder: Path, settings: dict[str, str]) -> None:
        self.block = block
        self.url = url
        self.folder = folder
        self.environment = environment(**settings) | {
            "PATH": f"{TOOLBOX.parent}:{os.environ['PATH']}",
            "NO_PROXY": "*",
            "CURL_HOME": str(folder),
            "HOME": str(folder),
        }
        (folder / ".curlrc").write_text("fail-with-body\n")  # an answer that is an error fails the block

    def run_program(self, command: list[str], folder: Path | None = None) -> list[str]:
        code = self.block.code.replace("http://127.0.0.1:8000", self.url)
        done = subprocess.run(
            [*command, code], cwd=folder or ROOT, env=self.environment, capture_output=True, text=True, timeout=SECONDS
        )
        return [] if done.returncode == 0 else [f"{self.block}: {done.stderr[-1000:]}"]

    def run_commands(self) -> list[str]:
        """Each line that begins with a prompt, with the output that is shown below it; or all lines, if none does."""
        steps = split_steps(self.block.code)
        return [problem for command, shown in steps for problem in self.run_command(command, shown)]

    def run_command(self, command: str, shown: str) -> list[str]:
        real = command.replace("localhost:8000", self.url.removeprefix("http://"))
        real = real.replace("API_KEY=... ", "").replace("https://tools.example.com", self.url)
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", real],
            cwd=self.folder,
            env=self.environment,
            input="value\n",
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        is_refused = done.returncode == HTTP_ERROR and '"status":' in shown  # and meant to be
        if done.returncode and not is_refused:
            return [f"{self.block}: {command!r} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"]
        return compare(str(self.block), shown, done.stdout)


def split_steps(code: str) -> list[tuple[str, str]]:
    """Each line that begins with a prompt, with the output that is shown below it; or all lines, if none does."""
    if not code.startswith("$ "):
        return [(code, "")]
    parts = re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]
    return [part.partition("\n")[::2] for part in parts]


def compare(where: str, shown: str, said: str) -> list[str]:
    """Equal, but for blanks, numbers, ids, and what `...` stands for; anything goes where nothing is shown."""
    pattern = ".*".join(re.escape(part) for part in re.split(r",? ?\.\.\.", plain(shown)))
    if re.search(pattern, plain(said), re.DOTALL):
        return []
    return [f"{where}: shown is\n{shown}\nand said was\n{said}"]


def plain(text: str) -> str:
    """A text with one blank where there are any, and without what is another one each time."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", " ".join(text.split()))
    return re.sub(r"\d+(\.\d+)*", "N", text)
