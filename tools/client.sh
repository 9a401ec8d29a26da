#!/bin/sh
# Generates examples/alertgraph_client from schema.graphql and examples/operations.graphql.
# Usage: client.sh PROGRAM [--check]: with --check nothing is written; says where it is not what the schema says.
set -eu
codegen=$1
# Where the plugin is found.
export PYTHONPATH=tools
if [ "${2:-}" != --check ]; then
    "$codegen" --config examples/client.toml >/dev/null
    exit 0
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
sed "s|^target_package_path = .*|target_package_path = \"$made\"|" examples/client.toml > "$made/client.toml"
"$codegen" --config "$made/client.toml" >/dev/null
diff -ur --exclude __pycache__ examples/alertgraph_client "$made/alertgraph_client" || {
    echo "examples/alertgraph_client is not what schema.graphql says: run make client" >&2
    exit 1
}
