#!/usr/bin/env bash
# Build the image with podman or docker, whichever runs here, and Apptainer's file from it if Apptainer is installed.
# `make image` calls it. Variables: TORCH_INDEX (see envs/install.sh), BASE (another base image), IMAGE (tag), SIF
# (file), BUILD_OPTIONS (for `podman build` or `docker build`) and SIF_OPTIONS (for `apptainer build`).
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
commit=$(git describe --always --abbrev=40 --dirty 2>/dev/null || echo unknown)
IMAGE=${IMAGE:-crosstune:$version}
# The rules run in this file; rules/common.smk is the only place with its name.
SIF=${SIF:-$(sed -n 's/^IMAGE = "\(.*\)"/\1/p' rules/common.smk)}
arguments=(--build-arg "TORCH_INDEX=${TORCH_INDEX:-}" --build-arg "VERSION=$version" --build-arg "COMMIT=$commit")
[ -z "${BASE:-}" ] || arguments+=(--build-arg "BASE=$BASE")

engine=
for name in podman docker; do
  if [ -z "$engine" ] && $name info >/dev/null 2>&1; then engine=$name; fi
done
apptainer=$(command -v apptainer || command -v singularity || true)
if [ -z "$engine$apptainer" ]; then
  echo "error: neither podman, docker nor apptainer runs here; one of them is needed to build an image" >&2
  exit 1
fi

if [ -n "$engine" ]; then
  # Set the labels again: podman reuses a cached step even if its argument changed.
  labels=(--label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$commit")
  # shellcheck disable=SC2086
  $engine build --file containers/Dockerfile --tag "$IMAGE" "${arguments[@]}" "${labels[@]}" ${BUILD_OPTIONS:-} .
  echo "built $IMAGE with $engine"
fi

if [ -n "$apptainer" ]; then
  if [ -n "$engine" ]; then
    # Build from a folder of files: an archive of layers takes several times as long.
    files=$(mktemp -d)
    trap 'rm -rf "$files"' EXIT
    container=$($engine create "$IMAGE" true)
    $engine export "$container" | tar -x -C "$files" --no-same-owner --exclude 'dev/*'
    $engine rm "$container" >/dev/null
    arguments+=(--build-arg BOOTSTRAP=localimage --build-arg "BASE=$files")
  fi
  # shellcheck disable=SC2086
  $apptainer build --fakeroot --force "${arguments[@]}" ${SIF_OPTIONS:-} "$SIF" containers/crosstune.def
  echo "built $SIF with $apptainer"
fi
