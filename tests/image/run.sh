#!/bin/sh
# Builds the images as a user does, without a Docker daemon, runs them as a cluster would, and prints their sizes.
# Needs root, and Debian's buildah, podman, runc and debootstrap: apt-get install buildah podman runc debootstrap
#   tests/image/run.sh [slim|full ...]     BASE=IMAGE uses that base instead of one made here
set -eu
cd "$(dirname "$0")/../.."
work=${WORK:-${TMPDIR:-/tmp}/toolbox-image}
export BUILDAH_ISOLATION=chroot
mkdir -p "$work"
certificates=/etc/ssl/certs/ca-certificates.crt
say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }

if [ -z "${BASE:-}" ]; then
  BASE=localhost/toolbox-base:bookworm
  if ! buildah inspect "$BASE" >/dev/null 2>&1; then
    [ -d "$work/root" ] || debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
      bookworm "$work/root" >"$work/debootstrap.log"
    container=$(buildah from scratch)
    buildah add -q "$container" "$work/root" / >/dev/null
    buildah config --env PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$container"
    buildah commit -q "$container" "$BASE" >/dev/null
    buildah rm "$container" >/dev/null
  fi
fi

run() { # NAME IMAGE [podman options] -- the way a cluster runs it
  name=$1; shift
  podman --cgroup-manager=cgroupfs run --detach --name "$name" --runtime runc --network host --pull never \
    --ulimit nofile=20000:20000 --ulimit nproc=10000:10000 --no-healthcheck \
    --read-only --read-only-tmpfs=false --tmpfs /tmp:rw,size=64m,mode=1777 --cap-drop all \
    --security-opt no-new-privileges "$@" >/dev/null
}
ready() { # NAME PORT
  for _ in $(seq 120); do
    podman exec "$1" toolbox health >/dev/null 2>&1 && return
    podman ps --quiet --filter "name=^$1$" | grep -q . || { podman logs "$1" 2>&1 | tail -20; fail "$1 ended"; }
    sleep 0.5
  done
  podman logs "$1" 2>&1 | tail -20; fail "$1 is not ready"
}
post() { curl -fsS --noproxy '*' "http://127.0.0.1:$1" --json "$2"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
remove() { podman rm --force --time 5 "$1" >/dev/null 2>&1 || true; }
name='' database=''
trap '[ -z "$name" ] || remove "$name"; [ -z "$database" ] || kill "$database"' EXIT

check() { # TARGET, further options of podman: find, call, health, user, SIGTERM
  target=$1; shift
  name=toolbox-$target-$$ port=$(free_port)
  start=$(date +%s.%N)
  run "$name" --env PORT="$port" --env HOST=127.0.0.1 "$@" "localhost/toolbox:$target"
  ready "$name" "$port"
  say "$target: ready after $(python3 -c "import time; print(f'{time.time() - $start:.1f} s')")"
  post "$port/mcp/find_tool" '{"query": "reverse a text", "limit": 1}' | grep -q '"text_reverse"' || fail "find"
  post "$port/mcp/call_tool" '{"tool_name": "text_reverse", "arguments": {"text": "abc"}}' | grep -q '"cba"' || fail "call"
  [ "$(podman exec "$name" id -u)" = 10001 ] || fail "it does not run as 10001"
  podman exec "$name" sh -c 'touch /opt/toolbox/x 2>/dev/null' && fail "the file system can be written"
  podman exec "$name" sh -c 'grep -q "^CapEff:.0000000000000000$" /proc/1/status' || fail "it has capabilities"
  [ "$(podman inspect "$name" --format '{{(index .Config.Labels "org.opencontainers.image.licenses")}}')" = Apache-2.0 ] || fail "labels"
  podman kill --signal TERM "$name" >/dev/null
  status=$(podman wait "$name")
  case $status in 0 | 143) ;; *) podman logs "$name" 2>&1 | tail; fail "SIGTERM ended it with $status" ;; esac
  say "$target: found, called, read-only, no capabilities, user 10001, SIGTERM ended it with $status"
  remove "$name"
}

sizes() { # TARGET
  podman save --quiet --format oci-archive -o "$work/$1.tar" "localhost/toolbox:$1" 2>/dev/null
  python3 - "$work/$1.tar" "$1" <<'P'
import gzip, json, sys, tarfile
path, target = sys.argv[1:]
with tarfile.open(path) as tar:
    read = lambda name: tar.extractfile(name).read()
    blob = lambda digest: f"blobs/{digest.replace(':', '/')}"
    manifest = json.loads(read(blob(json.loads(read("index.json"))["manifests"][0]["digest"])))
    layers = []
    for layer in manifest["layers"]:
        packed = read(blob(layer["digest"]))
        plain = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
        layers.append((len(plain), len(packed) if packed is not plain else len(gzip.compress(plain, 6))))
above, whole = sum(plain for plain, _ in layers[1:]) / 1e6, sum(packed for _, packed in layers) / 1e6
print(f"{target}: layers above the base {above:.0f} MB, whole image gzipped {whole:.0f} MB, of which the base {layers[0][1] / 1e6:.0f} MB")
if target == "slim" and (above >= 200 or whole >= 200):
    sys.exit("FAILED: slim is larger than 200 MB")
P
  rm -f "$work/$1.tar"
}

for target in ${*:-slim full}; do
  buildah bud --quiet --format docker --pull-never --layers --target "$target" --build-arg "BASE=$BASE" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --volume "$certificates:$certificates:ro" --env "PIP_CERT=$certificates" \
    --tag "localhost/toolbox:$target" . >"$work/build-$target.log" 2>&1 || { tail -30 "$work/build-$target.log"; fail "build of $target"; }
  sizes "$target"
  if [ "$target" = full ]; then
    check full --volume "toolbox-image-$$:/data"
    podman volume rm "toolbox-image-$$" >/dev/null
  else
    rm -f "$work/database/url"
    .dev/run python tests/image/database.py "$work/database" & database=$!
    while [ ! -s "$work/database/url" ]; do kill -0 "$database" || fail "no database"; sleep 0.2; done
    check slim --env DATABASE_URL="$(cat "$work/database/url")" --env SECRET_KEY=0123456789abcdef0123456789abcdef
    kill "$database"; wait "$database" || true
    database=''
  fi
done
