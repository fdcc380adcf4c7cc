#!/bin/sh
# Installs each peer with what it needs into a folder of its own, beside the virtual environment's
# packages; two versions of one peer live side by side that way. A peer that cannot be installed
# is left out, and the benchmarks report it as absent.
# usage: install.sh VENV
set -eu
venv=$1
here=$(dirname "$0")
for list in "$here"/*.in; do
    peer=$(basename "$list" .in)
    rm -rf "$venv/peers/$peer"
    echo "bench: installing $peer"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --target "$venv/peers/$peer" -c "$here/constraints.txt" -r "$list" || {
        rm -rf "$venv/peers/$peer"
        echo "bench: $peer could not be installed; it will be absent" >&2
    }
done
