#!/bin/sh
# Unpacks a package of Debian into a folder, without installing it or what it needs, so also on an older Debian or an Ubuntu:
#   tests/debian.sh PACKAGE FOLDER
set -eu
package=$1 folder=$2
mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
cd "$folder"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >apt/sources
debian() {
  apt-get -qq -o "Dir::Etc::sourcelist=$PWD/apt/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$PWD/apt/lists" \
    -o "Dir::Cache=$PWD/apt" -o Dir::State::status=/dev/null -o APT::Sandbox::User= "$@"
}
debian update
debian download "$package"
dpkg -x "$package"_*.deb .
rm -r apt "$package"_*.deb
