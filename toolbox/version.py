"""The version of the installed package, and the name under which it asks itself."""

from importlib.metadata import version

VERSION = version("toolbox-registry")

REPORT_AGENT = f"toolbox-report/{VERSION}"
"""The User-Agent of `toolbox serve` when it asks its own server, over HTTP, what to print at the start."""
