"""The garbage collector of a process that serves."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL
from toolbox.app import create_app
from toolbox.settings import Settings

SETTLED = """
import gc, weakref
from toolbox.memory import settle

class Knot:
    def __init__(self):
        self.self = self

before = weakref.ref(Knot())
kept = [Knot()]
settle()
assert before() is None, "what nobody has any more when it settles is thrown away"
assert gc.get_freeze_count() > 1000, "what there is then is looked at no more"
gone = []
after = weakref.ref(Knot(), gone.append)  # to ask it would be to hold what it refers to
while not gone and len(kept) < 1_000_001:
    kept.append([])  # each is one more for the collector to look at
assert len(kept) > 700, "it lets more come together than Python lets it"
assert len(kept) < 1_000_000, "and what is made later is thrown away as ever"
"""


def test_what_the_start_made_is_left_alone_and_what_comes_later_is_not() -> None:
    # In a process of its own: nothing undoes this.
    done = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_it_settles_when_all_is_there(settings: Settings, make_plugins: Callable[..., Any]) -> None:
    settled = list[str]()
    app = create_app(settings, make_plugins(), on_started=lambda: settled.append("once"))
    async with AsyncTestClient(app, base_url=BASE_URL) as client:
        assert settled == ["once"]
        assert (await client.get("/live")).status_code == 200
