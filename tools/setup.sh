#!/bin/sh
# Makes a virtual environment and installs the given projects of this repository into it.
# usage: setup.sh VENV PROJECT...
set -eu
venv=$1
shift

# The newest Python there is that we support.
python=
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null 2>&1 &&
        "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
    then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: Python 3.11 to 3.14 is needed and none is on PATH; on Debian: apt install python3" >&2
    exit 1
fi

may_install() { command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "setup: making $venv with $($python --version)"
    # Debian keeps ensurepip, which venv needs, in a package of its own.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        if may_install; then
            as_root apt-get update -qq && as_root apt-get install -y -qq python3-venv
        else
            echo "setup: $python cannot make virtual environments; run: sudo apt install python3-venv" >&2
            exit 1
        fi
    fi
    "$python" -m venv --clear "$venv"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "setup: installing the packages of this repository (the first time takes a minute or two)"
# The build tool is installed once instead of once per package.
pip install --quiet -c constraints.txt hatchling editables
set -- $(for project in "$@"; do echo "-e $project"; done)
pip install --quiet --no-build-isolation -c constraints.txt "$@" icalendar jinja2
# Only for machines without mosquitto; the demo says so if it turns out to be needed and missing.
pip install --quiet -c constraints.txt amqtt ||
    echo "setup: amqtt could not be installed; a demo without mosquitto will not have a broker" >&2
echo "setup: done"
