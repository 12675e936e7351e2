#!/bin/sh
# Checks the alert rules, and fires each alert once; needs promtool (Debian: apt install prometheus).
set -eu
cd "$(dirname "$0")"
command -v promtool >/dev/null || { echo "promtool is missing: apt install prometheus"; exit 1; }
promtool check rules ../../charts/toolbox/rules/toolbox.yaml
promtool test rules toolbox.yaml
