#!/bin/sh
# Starts compose.yaml, then with compose.prod.yaml on top, with the real docker-compose but podman in the place of Docker, and
# calls ToolBox. Needs root, the image `full` of tests/image/run.sh, and what that needs.
# Images that cannot be pulled get a stand-in of the same name (tests/compose/stand-ins). About two minutes.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD cache=$PWD/tests/compose/.cache work=$(mktemp -d)
say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }
podman image exists localhost/toolbox:full || tests/image/run.sh full

compose=/usr/libexec/docker/cli-plugins/docker-compose
if [ ! -x "$compose" ]; then
  compose=$cache$compose
  [ -x "$compose" ] || tests/debian.sh docker-compose "$cache"
fi
cat >"$work/containers.conf" <<'END'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=10000:10000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
export CONTAINERS_CONF="$work/containers.conf" BUILDAH_ISOLATION=chroot DOCKER_HOST="unix://$work/podman.sock"
podman system service --time=0 "$DOCKER_HOST" >"$work/podman.log" 2>&1 & service=$!
# systemd's timers would do this.
while sleep 1; do for id in $(podman ps --quiet); do timeout 20 podman healthcheck run "$id" || true; done; done >/dev/null 2>&1 & health=$!
project=toolbox-test-$$
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT
compose() { (cd "$work" && "$compose" --project-name "$project" "$@"); }
end() {
  compose --profile worker -f compose.yaml down --volumes >/dev/null 2>&1 || true
  kill "$health" "$service" || true
  rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

stand_in() { # IMAGE NAME BASE
  podman image exists "$1" || podman pull --quiet "$1" >/dev/null 2>&1 && return
  buildah bud --quiet --format docker --pull-never --build-arg "BASE=$3" --file "tests/compose/stand-ins/$2.Containerfile" \
    --tag "$1" tests/compose/stand-ins >"$work/build.log" 2>&1 || { tail "$work/build.log"; fail "the stand-in of $1"; }
  say "$1 cannot be pulled; a stand-in takes its place"
}
image() { sed -n "s,^    image: \($1/.*\),docker.io/\1,p" compose.yaml; }
stand_in "$(image pgvector)" postgres localhost/toolbox:full
stand_in "$(image valkey)" valkey localhost/toolbox-base:bookworm
podman tag localhost/toolbox:full docker.io/library/toolbox:0.1.0

check() { # what it is
  call() { curl -sS --noproxy '*' -w ' %{http_code}' "http://127.0.0.1:$PORT/$1" --header "Authorization: Bearer $2" ${3:+--json "$3"}; }
  call mcp/find_tool wrong '{"query": "reverse a text"}' | grep -q ' 401$' || fail "$1: anybody may call"
  call mcp/find_tool "$API_KEY" '{"query": "reverse a text"}' | grep -q '"text_reverse"' || fail "$1: find"
  call mcp/call_tool "$API_KEY" '{"tool_name": "text_reverse", "arguments": {"text": "abc"}}' | grep -q '"cba"' || fail "$1: call"
  parts=$(call health/detailed "$API_KEY")
  for part in database redis embeddings queue; do
    echo "$parts" | grep -q "\"$part\":{\"status\":\"ok\"" || fail "$1: $part is not ok: $parts"
  done
  podman wait "$(compose ps --all --quiet migrations)" | grep -q '^0$' || fail "$1: the migrations"
  say "$1: the migrations ran when PostgreSQL was healthy, ToolBox started after them, found and called"
}
cp compose.yaml compose.prod.yaml "$work"
"$root/.dev/secrets" >"$work/.env"
# shellcheck disable=SC1091
. "$work/.env"
compose --profile worker up --no-build --pull never --detach --wait-timeout 120 >"$work/up.log" 2>&1 || { tail -20 "$work/up.log"; fail "compose.yaml"; }
compose up --no-build --pull never --wait --wait-timeout 120 >"$work/up.log" 2>&1 || { tail -20 "$work/up.log"; fail "compose.yaml"; }
check "compose.yaml"
podman logs "$(compose ps --quiet worker)" 2>&1 | grep -q . || fail "the worker said nothing"
compose --profile worker down --volumes >/dev/null 2>&1

rm "$work/.env"
mkdir "$work/secrets"
printf %s "$SECRET_KEY" >"$work/secrets/secret_key"
printf %s "$API_KEY" >"$work/secrets/api_key"
printf %s "$POSTGRES_PASSWORD" >"$work/secrets/postgres_password"
printf 'postgresql://toolbox:%s@postgres:5432/toolbox' "$POSTGRES_PASSWORD" >"$work/secrets/database_url"
compose -f compose.yaml -f compose.prod.yaml up --no-build --pull never --wait --wait-timeout 120 >"$work/up.log" 2>&1 ||
  { tail -20 "$work/up.log"; fail "compose.prod.yaml"; }
check "compose.prod.yaml"
podman inspect "$(compose ps --quiet toolbox)" --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}' |
  grep -q '^1073741824 512 always$' || fail "the limits do not hold"
