#!/bin/sh
# Installs what learns (requirements-ml.txt) into a virtual environment, and shows how far it is.
# Usage: install_ml.sh VENV [PID]; with a process's number it gives way to that while it starts, and ends with it.
set -u
venv=$1
beside=${2:-}
# With its downloads, and as it is in the end.
about_mb=1400
tmp=$venv/.installing
log=$venv/.installing.log
began=$(date +%s)

say() { echo "» $*" >&2; }
used_mb() { du -sm "$venv/lib" "$tmp" 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'; }

rm -rf "$tmp"
mkdir -p "$tmp"
before=$(used_mb)
if [ -n "$beside" ]; then
    sleep 5
fi
say "installing what learns: torch, scikit-learn (requirements-ml.txt), about $about_mb MB"
TMPDIR=$PWD/$tmp nice -n 10 "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    -r requirements-ml.txt >"$log" 2>&1 &
pip=$!
trap 'kill "$pip" 2>/dev/null; rm -rf "$tmp"; exit 130' INT TERM HUP

elapsed() { echo $(($(date +%s) - began)); }
turn=0
while kill -0 "$pip" 2>/dev/null; do
    sleep 1
    turn=$((turn + 1))
    if [ -n "$beside" ] && ! kill -0 "$beside" 2>/dev/null; then
        kill "$pip" 2>/dev/null
        rm -rf "$tmp"
        exit 0
    fi
    if [ $((turn % 10)) -eq 0 ]; then
        done_mb=$(($(used_mb) - before))
        [ "$done_mb" -le "$about_mb" ] || done_mb=$about_mb
        say "installing what learns: $done_mb of about $about_mb MB, $(elapsed) s"
    fi
done
if wait "$pip" && "$venv/bin/python" -c 'import numpy, pyarrow, scipy, sklearn, torch' 2>>"$log"; then
    rm -rf "$tmp"
    touch "$venv/.ml"
    say "what learns is installed, after $(elapsed) s${beside:+; predictions begin in some seconds}"
    exit 0
fi
rm -rf "$tmp"
say "what learns could not be installed, and everything else works without; \`make ml\` tries again. The end of $log:"
tail -n 5 "$log" >&2
exit 1
