#!/bin/sh
# Start Redis with docker/redis/redis.conf and the password from REDIS_PASSWORD.
#
# The password goes into a file that only this user can read, in memory: on the command line every
# process list would show it.
set -eu

: "${REDIS_PASSWORD:?set it in .env}"
template="${1:?path of redis.conf}"
config="${2:?path to write the configuration to}"

umask 077
cp "$template" "$config"
printf 'requirepass "%s"\n' "$REDIS_PASSWORD" >> "$config"

exec redis-server "$config"
