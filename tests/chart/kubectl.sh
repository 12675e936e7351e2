#!/bin/sh
# Gets kubectl out of Debian's archive, where it is not installed, into tests/chart/.cache: it is a single file.
set -eu
cd "$(dirname "$0")"
mkdir -p .cache/apt/lists/partial .cache/apt/archives/partial
cd .cache
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >apt/sources
debian() {
  apt-get -qq -o "Dir::Etc::sourcelist=$PWD/apt/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$PWD/apt/lists" \
    -o "Dir::Cache=$PWD/apt" -o Dir::State::status=/dev/null -o APT::Sandbox::User= "$@"
}
debian update
debian download kubectl
dpkg -x kubectl_*.deb .
rm -r apt kubectl_*.deb
