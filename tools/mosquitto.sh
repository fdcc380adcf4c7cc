#!/bin/sh
# Sees to it that a real Mosquitto is there for the tests; installs Debian's when it may.
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
if command -v mosquitto >/dev/null 2>&1; then
    exit 0
fi
if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "test: installing mosquitto, which the tests talk to"
    root=
    [ "$(id -u)" = 0 ] || root="sudo -n"
    $root apt-get update -qq || true
    if DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends mosquitto; then
        exit 0
    fi
fi
echo "test: the tests need a real Mosquitto and may not install it; run: sudo apt install mosquitto" >&2
exit 1
