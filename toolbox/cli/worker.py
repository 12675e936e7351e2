"""`toolbox worker`: works the queue beside the server, and nothing else."""

import asyncio
import os
import signal

import click

from toolbox.cli.backend import local_settings
from toolbox.embedded.owner import default_data_dir, find_owner
from toolbox.errors import SettingsError
from toolbox.settings import Settings, read_settings
from toolbox.version import VERSION


@click.command()
def worker() -> None:
    """Work the queue beside the server: what is too slow for a request, and what has a time of its own.

    The server works it too; workers take load from it. They use the database that DATABASE_URL names, or that of the
    server that runs on this machine.
    """
    database = _find_database()
    with local_settings("worker") as settings:
        asyncio.run(_work(settings, database))
    click.echo("ToolBox worker has ended", err=True)


def _find_database() -> str:
    """Say in words which database it is.

    A worker that ran the embedded PostgreSQL would stand in the way of the server that it is to help.
    """
    settings = read_settings(os.environ)
    if settings.database_url is not None:
        return "the database that DATABASE_URL names"
    data_dir = settings.data_dir or default_data_dir()
    owner = find_owner(data_dir)
    if owner is None or owner.server_url is None:
        raise SettingsError(
            f"no server runs on {data_dir}: start `toolbox serve` first (it works the queue by itself, too), "
            "use its DATA_DIR, or set DATABASE_URL"
        )
    return f"the database of {owner.server_url} in {data_dir}"


async def _work(settings: Settings, database: str) -> None:
    from toolbox.services import open_services, working  # slow to load, and --help needs none of it

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, loop, ended)
    async with open_services(settings) as services, working(services):
        loop.add_signal_handler(signal.SIGHUP, services.reload_later)
        kinds = _name_kinds(services.queue.kinds)
        click.echo(f"ToolBox {VERSION} worker: works {kinds} in {database}; Ctrl-C ends it", err=True)
        await ended.wait()


def _name_kinds(kinds: list[str]) -> str:
    """What a process works, as operators know it: each tool that may run as a task has a kind of its own."""
    from toolbox.tasks.service import job_kind  # slow to load

    prefix = job_kind("")
    jobs = sorted({kind.partition(":")[0] for kind in kinds if not kind.startswith(prefix)})
    tools = [kind.removeprefix(prefix) for kind in kinds if kind.startswith(prefix)]
    named = " and ".join(filter(None, [", ".join(jobs[:-1]), *jobs[-1:]]))
    return f"{named} jobs" + (f" and the tasks of {', '.join(tools)}" if tools else "")


def _end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """End in good order; a second signal ends at once, and the jobs are taken over by others."""
    ended.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
