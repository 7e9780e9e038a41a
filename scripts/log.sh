#!/bin/sh
# Copy the input to the terminal and to a log: `sh scripts/log.sh FILE`. A link under the log's name, which others may
# have planted, is removed; one planted meanwhile is refused (-C opens new files only). Nothing is written through it.
rm -f -- "$1" && set -C && exec 3> "$1" && exec tee /dev/fd/3
exec cat
