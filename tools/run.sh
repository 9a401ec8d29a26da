#!/bin/sh
# Starts alertgraph. What learns is large and is installed meanwhile: predictions begin once it is there. So is the console.
# Usage: run.sh VENV
set -eu
venv=$1
case ${CRITICAL_ALERT_ML_ENABLED:-true} in
    [Ff]alse | [Nn]o | [Oo]ff | 0) ;;
    *)
        if [ ! -e "$venv/.ml" ] || [ requirements-ml.txt -nt "$venv/.ml" ]; then
            # In place of this shell, under its number, the service runs.
            sh tools/install_ml.sh "$venv" $$ &
        fi
        ;;
esac
if [ -d web ]; then
    sh tools/build_console.sh "$venv" &
fi
exec "$venv/bin/alertgraph" serve
