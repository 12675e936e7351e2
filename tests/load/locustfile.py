"""What callers do under load; tests/load/run.py runs each class by itself against a server with a large catalogue."""

import itertools
import json
import os
import random
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, constant, task

TOOLS = json.loads(Path(os.environ["LOAD_TOOLS"]).read_text())
"""Some of the catalogue's tools: of each its name, its category, and the words of its description."""


def make_query() -> str:
    """A wish that was never asked before, more or less, so that caches do not answer it."""
    words = random.choice(TOOLS)["words"]
    start = random.randrange(max(len(words) - 8, 0) + 1)
    return " ".join([*words[start : start + random.randint(4, 8)], str(random.randrange(10_000))])


class Caller(FastHttpUser):
    abstract = True

    def find(self) -> None:
        self.client.post("/mcp/find_tool", json={"query": make_query(), "detail": "summary"}, name="find")

    def look_up(self) -> None:
        self.client.get(f"/tools/{random.choice(TOOLS)['name']}", name="look up")

    def call(self) -> None:
        request = {"tool_name": "text_reverse", "arguments": {"text": make_query()}}
        self.client.post("/mcp/call_tool", json=request, name="call")

    def list(self) -> None:
        request = {"limit": 20, "category": random.choice(TOOLS)["category"]}
        self.client.post("/mcp/list_tools", json=request, name="list")


class Paced(Caller):
    """Asks so many times a second, each at a time of its own: locust's own pace has all of them ask in one moment."""

    abstract = True
    a_second = 1.0
    numbers = itertools.count()

    def on_start(self) -> None:
        offset = next(self.numbers) % 20 / 20 / self.a_second
        gevent.sleep(offset)
        self.due = time.monotonic()

    def wait_time(self) -> float:
        self.due += 1 / self.a_second
        return max(self.due - time.monotonic(), 0)


class Finder(Paced):
    """Finds once a second."""

    @task
    def work(self) -> None:
        self.find()


class Looker(Paced):
    """Looks a tool up five times a second."""

    a_second = 5.0

    @task
    def work(self) -> None:
        self.look_up()


class Mixed(Caller):
    """Does everything, as fast as it is answered."""

    wait_time = constant(0)

    @task(1)
    def finds(self) -> None:
        self.find()

    @task(5)
    def looks_up(self) -> None:
        self.look_up()

    @task(12)
    def calls(self) -> None:
        self.call()

    @task(2)
    def lists(self) -> None:
        self.list()
