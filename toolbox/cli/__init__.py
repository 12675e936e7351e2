"""The `toolbox` command."""
