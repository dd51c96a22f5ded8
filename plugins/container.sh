#!/bin/sh
# Starts the plugin of this image. Replicas of one service share its key and its principal; the container's name tells
# them apart.
set -eu
if [ -z "${WIZ_INSTANCE:-}" ]; then
    read -r WIZ_INSTANCE </etc/hostname
    export WIZ_INSTANCE
fi
exec "$WIZ_PLUGIN_FOLDER/bin/$WIZ_PLUGIN_NAME" "$@"
