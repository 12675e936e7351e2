"""The `toolbox` command: its subcommands, each loaded only when it is used."""

import importlib
import sys
from typing import Any

import click

from toolbox.errors import ToolboxError

COMMANDS = {
    "serve": ("toolbox.cli.serve:serve", "Serve MCP and REST."),
    "health": ("toolbox.cli.health:health", "Ask whether the server of this machine is ready."),
    "worker": ("toolbox.cli.worker:worker", "Work the queue beside the server."),
    "find": ("toolbox.cli.use:find", "Find tools by what they do."),
    "call": ("toolbox.cli.use:call", "Call a tool."),
    "result": ("toolbox.cli.use:result", "Read the result of an earlier call, page by page."),
    "tools": ("toolbox.cli.use:tools", "List tools, look at one, and manage them."),
    "plugins": ("toolbox.cli.use:plugins", "The installed plugins, and what is wrong with them."),
    "sync": ("toolbox.cli.catalogue:sync", "Bring the catalogue to what the plugins offer."),
    "reload": ("toolbox.cli.reload:reload", "Take up plugins that were installed or upgraded, without a restart."),
    "import": ("toolbox.cli.catalogue:import_", "Import tools from JSON lines, or MCP servers from hosts' files."),
    "export": ("toolbox.cli.export:export", "Write ToolBox into the files of MCP hosts."),
    "bridge": ("toolbox.cli.bridge:bridge", "Serve one stdio server of MCP over HTTP."),
    "upstreams": ("toolbox.cli.upstreams:upstreams", "The MCP servers whose tools are offered."),
    "toolsets": ("toolbox.cli.toolsets:toolsets", "Named selections of tools, each with an endpoint of its own."),
    "approvals": ("toolbox.cli.managing:approvals", "Approve what plugins and upstreams have changed."),
    "audit": ("toolbox.cli.audit:audit", "Who changed what, and when."),
    "secrets": ("toolbox.cli.secrets:secrets", "Values that tools need, and nobody is shown."),
    "keys": ("toolbox.cli.keys:keys", "Who may call: issue, list, rotate and revoke keys."),
    "evaluate": ("toolbox.cli.evaluate:evaluate_", "Measure how well a catalogue is searched."),
    "backup": ("toolbox.cli.backup:backup", "Write what the database holds to a file."),
    "restore": ("toolbox.cli.backup:restore", "Bring back what a backup holds."),
    "db": ("toolbox.cli.db:db", "Look after the database's schema."),
}
"""Where each command is, and its line in the overview: so the overview loads none of them."""


class LazyGroup(click.Group):
    """Loads a subcommand's module when the subcommand is asked for: `toolbox find` needs no web framework."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load one."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview of subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="toolbox-registry", message="%(version)s")
def toolbox() -> None:
    """ToolBox: the place where AI agents find and call tools.

    Settings come from environment variables (see docs/settings.md). Without DATABASE_URL a PostgreSQL of its own is
    used, and all commands of one machine share it.
    """


def main(*arguments: Any) -> None:
    """Run the command; exit with 0 (done), 1 (it failed, and said why) or 2 (it was not understood)."""
    try:
        toolbox.main(args=list(arguments) or None, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except ToolboxError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(1)
