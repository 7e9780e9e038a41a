#!/usr/bin/env bash
# Podman with images in a folder of its own, and a base image made of Debian's packages, under the name that the
# Dockerfile asks for: nothing comes from a registry of images. What is there already is kept.
#   podman_up.sh FOLDER
# FOLDER/containers.conf and FOLDER/storage.conf are for $CONTAINERS_CONF and $CONTAINERS_STORAGE_CONF.
# Exit code 77 with a reason where the machine cannot do this.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
dockerfile=$(dirname "$0")/../../containers/Dockerfile

source "$(dirname "$0")/packages.sh"

need_debian "podman and debootstrap"
missing=()
for program in podman runc debootstrap; do command -v $program >/dev/null || missing+=($program); done
[ ${#missing[@]} = 0 ] || install "$folder" "${missing[@]}"

cat >"$folder/containers.conf" <<EOF
[containers]
# Limits that a machine without CAP_SYS_RESOURCE may set.
default_ulimits = ["nofile=1024:2048", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
EOF
cat >"$folder/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$folder/storage"
runroot = "$folder/run"
EOF
export CONTAINERS_CONF=$folder/containers.conf CONTAINERS_STORAGE_CONF=$folder/storage.conf
podman info >/dev/null || cannot "podman does not run here"

# A digest cannot be given to an image: the build is told to take it by its tag (conftest.py).
base=$(sed -n 's/^ARG BASE=\([^@]*\).*/\1/p' "$dockerfile")
if ! podman image exists "$base"; then
  release=${base##*:}
  rm -rf "$folder/base"
  debootstrap --variant=minbase "${release%-slim}" "$folder/base" "$(mirror)" \
    >"$folder/debootstrap.log" || cannot "debootstrap cannot make a base image: $folder/debootstrap.log"
  rm -rf "$folder"/base/var/cache/apt/archives/*.deb "$folder"/base/var/lib/apt/lists/*
  # As in published images: the devices are the container's.
  tar -C "$folder/base" --exclude './dev/*' -c . | podman import --quiet - "$base" >/dev/null
  rm -rf "$folder/base"
fi
podman --version
