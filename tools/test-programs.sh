#!/bin/sh
# Sees to it that the programs are there that tests talk to; installs Debian's when it may.
# A real Mosquitto is a must. faketime lets the real process live on another day; its tests are
# skipped without it.
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing=
command -v mosquitto >/dev/null 2>&1 || missing="mosquitto"
command -v faketime >/dev/null 2>&1 || missing="$missing faketime"
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "test: installing what the tests talk to: $missing"
    root=
    [ "$(id -u)" = 0 ] || root="sudo -n"
    $root apt-get update -qq || true
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing || true
fi
if ! command -v mosquitto >/dev/null 2>&1; then
    echo "test: the tests need a real Mosquitto and may not install it; run: sudo apt install mosquitto" >&2
    exit 1
fi
