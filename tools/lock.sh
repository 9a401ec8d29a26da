#!/bin/sh
# Writes the lock files: every version, direct or not, for every platform and Python from 3.11 on.
set -eu
uv=.venv/bin/uv
{
    echo "# Locked versions of everything alertgraph needs to run. Written by \`make lock\`; do not edit."
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url pyproject.toml
    echo "# The project itself, from this folder."
    echo "--editable ."
} > requirements-critical.txt.new
mv requirements-critical.txt.new requirements-critical.txt
kept=$(mktemp)
trap 'rm -f "$kept"' EXIT
grep -v editable requirements-critical.txt > "$kept"
{
    echo "# Locked versions of what learning needs besides. Written by \`make lock\`; do not edit."
    # Without what only torch's builds for accelerators need: a build for processors does not ask for it.
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --constraint "$kept" --extra ml pyproject.toml \
        | grep -vxFf requirements-critical.txt | grep -vE '^(nvidia|cuda|triton)'
} > requirements-ml.txt.new
mv requirements-ml.txt.new requirements-ml.txt
cat requirements-ml.txt >> "$kept"
{
    echo "# Locked versions of what the tests and checks need besides. Written by \`make lock\`; do not edit."
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --constraint "$kept" --group dev
} > requirements-dev.txt.new
mv requirements-dev.txt.new requirements-dev.txt
# Alerta, beside which the bench measures, has an environment of its own.
{
    echo "# Locked versions of Alerta and what it needs. Written by \`make lock\`; do not edit."
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url bench/peers/alerta/requirements.in
} > bench/peers/alerta/requirements.txt.new
mv bench/peers/alerta/requirements.txt.new bench/peers/alerta/requirements.txt
