#!/bin/sh
# Starts the plugin of this image. Replicas of one service share its key and its principal; the container's name tells
# them apart.
set -eu
export WIZ_INSTANCE="${WIZ_INSTANCE:-$(cat /etc/hostname)}"
exec "$WIZ_PLUGIN_FOLDER/bin/$WIZ_PLUGIN_NAME" "$@"
