#!/bin/sh
# tools/setup.sh run|dev: makes .venv from the lock of that name (every file checked by its hash) and installs this
# project into it. PYTHON names the interpreter to build on. What this machine lacks is said in one line; exit 2.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
case ${1:-} in
run) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
*) echo "usage: tools/setup.sh run|dev" >&2; exit 2 ;;
esac

refuse() { echo "setup: $1" >&2; exit 2; }

command -v "$python" >/dev/null 2>&1 || refuse "$python not found: install Python 3.11 or later (apt install python3 python3-venv)"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || refuse "$python does not run: name another with PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  refuse "$python is Python $version, wanted 3.11 or later: name another with PYTHON=python3.11"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  refuse "$python has no usable venv module: apt install python3-venv"
free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge 300 ] || refuse "had $free MB of free disk here, wanted 300 MB"

# A virtual environment whose interpreter is gone, or that was made elsewhere and moved, is made anew.
# A link to one is refused: making it anew would empty what another checkout lives by.
[ ! -L .venv ] || refuse ".venv is a link to $(readlink .venv): remove it and a new one is made here"
here=$(pwd -P)/.venv
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import os, sys; sys.exit(os.path.realpath(sys.prefix) != sys.argv[1])' "$here" 2>/dev/null; then
  "$python" -m venv --clear .venv || refuse "$python could not make .venv: apt install python3-venv"
fi
pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 .venv/bin/python -m pip --quiet"
$pip install --require-hashes -r "$lock" || refuse "the packages of $lock could not be installed (is a package index within reach?)"
$pip install --no-deps --no-build-isolation -e . || refuse "ikescope itself could not be installed"
