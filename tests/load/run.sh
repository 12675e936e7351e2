#!/bin/sh
# Loads a server that has 100,000 tools, or those of a database of yours, and prints throughput, times and memory:
#   tests/load/run.sh [--tools N] [--seconds N] [--workers N] [--folder FOLDER] [--database URL]
# locust comes into an environment of its own; the folder is kept for the next run.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/tests/load/.cache
if [ ! -x "$cache/bin/locust" ]; then
  command -v uv >/dev/null || python3 -m pip install --quiet uv
  uv venv --quiet --python ">=3.11" "$cache"
  uv pip install --quiet --python "$cache" locust==2.47.0
fi
exec .dev/run python -m tests.load.run --locust "$cache/bin/locust" "$@"
