#!/bin/sh
# Writes requirements.lock (run) and requirements-dev.lock (run + development) from pyproject.toml.
# One lock serves Python 3.11 and later on every platform: each release stands with the hashes of all its files.
# The resolver works from the public index alone, whatever pip is told on this machine, and no address is written.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet uv

# What builds the project itself, so that its installation needs no isolated download.
printf 'setuptools>=77\nwheel>=0.43\n' > "$work/build.in"

compile() { # compile FILE TITLE ARGUMENT...
  file=$1 title=$2
  shift 2
  UV_SYSTEM_CERTS=true "$work/venv/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    --output-file "$work/out" pyproject.toml "$work/build.in" "$@"
  { printf '# %s. Written by tools/lock.sh; do not edit.\n' "$title"; cat "$work/out"; } > "$file"
  rm -f "$work/out"
}

compile requirements.lock 'What running ikescope needs' --extra router --extra tui --extra ssh --extra web --extra metrics
compile requirements-dev.lock 'What running and developing ikescope needs' --extra router --extra tui --extra ssh --extra web --extra metrics \
  --extra otel --extra dev \
  --constraint requirements.lock
grep -c '==' requirements.lock requirements-dev.lock
