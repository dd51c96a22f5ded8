#!/bin/sh
# Makes the keys of a mesh in containers, once: a pair for the broker and one for each principal that is named, each in a
# folder (a volume) of its own. The broker gets every public key, everybody the broker's. What is there stays.
set -eu
umask 077
wiz keys new --if-missing --public /keys/broker/broker.pub /keys/broker/key.json >/dev/null
for name in "$@"; do
    wiz keys new --if-missing --public "/keys/broker/$name.pub" "/keys/$name/key.json" >/dev/null
    cp /keys/broker/broker.pub "/keys/$name/broker.pub"
done
echo "keys: the broker's and those of $*"
