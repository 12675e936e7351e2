"""What callers do under load; tests/load/run.py runs each class by itself against a server with a large catalogue."""

import os
import random

from locust import FastHttpUser, constant, constant_throughput, task
from words import ACTIONS, THINGS, WAYS  # locust looks for it beside this file


def make_query() -> str:
    """A wish that was never asked before, more or less, so that caches do not answer it."""
    return f"{random.choice(ACTIONS)} {random.choice(THINGS)} {random.choice(WAYS)} {random.randrange(10_000)}"


class Caller(FastHttpUser):
    abstract = True
    catalogue = int(os.environ["LOAD_TOOLS"])

    def find(self) -> None:
        self.client.post("/mcp/find_tool", json={"query": make_query(), "detail": "summary"}, name="find")

    def look_up(self) -> None:
        self.client.get(f"/tools/tool_{random.randrange(self.catalogue):05}", name="look up")

    def call(self) -> None:
        request = {"tool_name": "text_reverse", "arguments": {"text": make_query()}}
        self.client.post("/mcp/call_tool", json=request, name="call")

    def list(self) -> None:
        self.client.post("/mcp/list_tools", json={"limit": 20, "category": "category 7"}, name="list")


class Finder(Caller):
    """Finds once a second."""

    wait_time = constant_throughput(1)

    @task
    def work(self) -> None:
        self.find()


class Looker(Caller):
    """Looks a tool up five times a second."""

    wait_time = constant_throughput(5)

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
