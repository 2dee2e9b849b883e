#!/usr/bin/env bash
# Installs the Autobahn test suite into the folder given as the only argument.
#
# The suite is a Python 2 program. Python 2 left Debian after bullseye, so its PyPy is unpacked
# (not installed) from that release, by the mirror that this machine's apt is configured with;
# the Python packages come from the index that this machine's pip is configured with, each at the
# last version that runs on Python 2. Nothing outside the folder is written.
set -euo pipefail

home=${1:?usage: autobahn-install.sh <folder>}
mkdir -p "$home"
home=$(cd "$home" && pwd)
stamp=$home/installed
suite_version=25.10.1
# Any change to this script asks for a fresh installation.
want=$(cksum <"${BASH_SOURCE[0]}")
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ]; then exit 0; fi

need() { command -v "$1" >/dev/null || { echo "autobahn: $1 is needed to install the suite" >&2; exit 1; }; }
need apt-get; need dpkg; need python3

# The first configured archive, in either of apt's two formats (`deb <uri> …` and `URIs: <uri>`).
# Security and other side archives do not end in /debian.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
  | sed 's/#.*//' | tr -s '[:space:]' '\n' | sed 's#/$##' | grep -E '^[a-z+]+://.*/debian$' | head -n 1) || true
[ -n "$mirror" ] || { echo "autobahn: apt has no Debian archive configured" >&2; exit 1; }

rm -rf "$home/root" "$home/site" "$home/fetch" "$stamp"
mkdir -p "$home/root" "$home/site"

unpack_pypy() {
  local apt=$home/fetch/apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bullseye main" >"$apt/sources.list"
  # A package state of its own: apt must neither see nor change what is installed here.
  local options=(-qq
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache"
    # Root's apt downloads as another user, who may not be able to enter this folder.
    -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  # libssl and libffi at the versions that this PyPy was linked with.
  (cd "$apt/debs" && apt-get "${options[@]}" download pypy pypy-lib pypy-dev libssl1.1 libffi7)
  for deb in "$apt"/debs/*.deb; do dpkg -x "$deb" "$home/root"; done
}

pypy() {
  env PYTHONPATH="$home/site" \
    LD_LIBRARY_PATH="$home/root/usr/lib:$home/root/usr/lib/$(uname -m)-linux-gnu" \
    "$home/root/usr/bin/pypy" "$@"
}

# pip itself has to be fetched by Python 3's, as wheels, and unzipped.
bootstrap_pip() {
  local wheels=$home/fetch/wheels
  for package in pip==20.3.4 setuptools==44.1.1 wheel==0.36.2; do
    python3 -m pip download -q --no-deps --only-binary=:all: \
      --python-version 27 --implementation py --abi none --platform any -d "$wheels" "$package"
  done
  for wheel in "$wheels"/*.whl; do python3 -m zipfile -e "$wheel" "$home/site"; done
}

# Dependencies are pinned one by one: this resolver would pick versions for Python 3.
install_packages() {
  if [ -e /etc/ssl/certs/ca-certificates.crt ]; then export PIP_CERT=/etc/ssl/certs/ca-certificates.crt; fi
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  local install=(-W ignore -m pip install -q --no-compile --no-deps --no-build-isolation --upgrade --target "$home/site")
  local first=(incremental==16.10.1 six==1.16.0 constantly==15.1.0 attrs==21.4.0 idna==2.10
    typing==3.10.0.0 hyperlink==21.0.0 Automat==20.2.0 PyHamcrest==1.10.1 zope.interface==4.6.0 txaio==2.1.0)
  local second=(autobahn==0.10.9 jinja2==2.11.3 markupsafe==1.1.1 Werkzeug==1.0.1 klein==17.10.0
    Twisted==19.10.0 "autobahntestsuite==$suite_version")
  # Twisted's build imports what the first set brings.
  for set in first second; do
    local -n packages=$set
    pypy "${install[@]}" "${packages[@]}" 2>"$home/fetch/pip-$set.log" || { cat "$home/fetch/pip-$set.log" >&2; exit 1; }
  done
}

# What the suite imports and never uses here: TLS, which would need a C compiler and OpenSSL's
# headers, and a test library.
stub_imports() {
  : >"$home/site/zope/__init__.py"
  echo 'from unittest import *' >"$home/site/unittest2.py"
  cat >"$home/site/twisted/internet/ssl.py" <<'PYTHON'
class ContextFactory(object):
    pass


class ClientContextFactory(ContextFactory):
    pass


class DefaultOpenSSLContextFactory(ContextFactory):
    def __init__(self, *args, **kwargs):
        raise RuntimeError("this installation has no TLS")
PYTHON
}

unpack_pypy
bootstrap_pip
install_packages
stub_imports
version=$(pypy "$home/site/bin/wstest" -a)
case $version in
  *"$suite_version"*) ;;
  *) echo "autobahn: the installed suite calls itself '$version', not $suite_version" >&2; exit 1 ;;
esac
rm -rf "$home/fetch"
echo "$want" >"$stamp"
