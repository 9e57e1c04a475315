#!/usr/bin/env bash
# Installs this project from its lock, on the head and on every worker alike.
set -euo pipefail
source "$(dirname "$0")/env.sh"
cd "$AFLORA_HOME"

lock="$(cat constraints.txt pyproject.toml | sha256sum | cut -d' ' -f1)"
if [ "$(cat "$AFLORA_VENV/.lock" 2>/dev/null)" = "$lock" ]; then
    exit 0 # a node that starts again has everything
fi
if ! python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "this node needs Python 3.11 or newer with venv (Debian, Ubuntu: apt-get install python3-venv)" >&2
    exit 1
fi
python3 -m venv "$AFLORA_VENV"
"$AFLORA_VENV/bin/pip" install --quiet --constraint constraints.txt --editable '.[cluster,postgres,quickstart]'
echo "$lock" >"$AFLORA_VENV/.lock"
