#!/usr/bin/env bash
# Removes what podman_up.sh and apptainer_up.sh made: the images, and the packages that they installed.
#   down.sh FOLDER
set -euo pipefail
[ -d "$1" ] || exit 0
folder=$(cd "$1" && pwd)
export CONTAINERS_CONF=$folder/containers.conf CONTAINERS_STORAGE_CONF=$folder/storage.conf
if [ -e "$CONTAINERS_STORAGE_CONF" ] && command -v podman >/dev/null; then podman system reset --force >/dev/null; fi
if [ -e "$folder/installed" ]; then
  mapfile -t installed < <(sort --unique "$folder/installed")
  DEBIAN_FRONTEND=noninteractive apt-get purge -qq --yes "${installed[@]}" >/dev/null
fi
rm -rf "$folder"
