#!/bin/sh
# Opens the page of MCP Inspector 1.0 in Chromium, connects it to a server straight from the browser, lists and calls; from an
# origin that is not allowed it must not connect. (Inspector 2 connects from a server of its own: tests/flows has its command line.)
#   tests/inspector/run.sh [FOLDER for screenshots]
# Needs Node 22 and Chromium; Inspector and Playwright come into tests/inspector/.cache.
set -eu
shots=$(mkdir -p "${1:-/tmp}" && cd "${1:-/tmp}" && pwd)
cd "$(dirname "$0")/../.."
cache=$PWD/tests/inspector/.cache
mkdir -p "$cache"
inspector=$cache/node_modules/@modelcontextprotocol/inspector/client/bin/client.js
[ -f "$inspector" ] || npm install --prefix "$cache" --no-audit --no-fund --ignore-scripts @modelcontextprotocol/inspector@1.0.3
if [ ! -x "$cache/bin/python" ]; then
  command -v uv >/dev/null || python3 -m pip install --quiet uv
  uv venv --quiet --allow-existing --python ">=3.11" "$cache"
  uv pip install --quiet --python "$cache" playwright==1.65.2
fi
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
server=$(port) allowed=$(port) other=$(port) work=$(mktemp -d)
chmod 755 "$work"  # PostgreSQL runs as another user where we are root
CORS_ORIGINS=http://127.0.0.1:$allowed DATA_DIR=$work/data .dev/run toolbox serve --port "$server" >"$work/log" 2>&1 & started=$!
for page in "$allowed" "$other"; do
  HOST=127.0.0.1 CLIENT_PORT=$page MCP_AUTO_OPEN_ENABLED=false node "$inspector" >/dev/null 2>&1 & started="$started $!"
done
# shellcheck disable=SC2086 # one word each
end() { kill $started 2>/dev/null || true; wait; rm -rf "$work"; }
trap end EXIT
trap 'exit 1' INT TERM
tries=0  # bounded: a server is ready in seconds
until python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$server/health/ready')" 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { cat "$work/log"; exit 1; }
  sleep 1
done
"$cache/bin/python" tests/inspector/page.py "$browser" "http://127.0.0.1:$server/mcp" "http://127.0.0.1:$allowed" "http://127.0.0.1:$other" "$shots"
