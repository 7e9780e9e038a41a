#!/usr/bin/env bash
# Pin the base of the images: write the digest that its tag has today into Dockerfile and crosstune.def.
# `make base` calls it. It asks the registry with skopeo or docker's buildx, and downloads no image.
set -euo pipefail
cd "$(dirname "$0")"
tag=$(sed -n 's/^ARG BASE=\([^@]*\).*/\1/p' Dockerfile)

if command -v skopeo >/dev/null; then
  digest=$(skopeo inspect --format '{{.Digest}}' "docker://$tag")
elif docker buildx version >/dev/null 2>&1; then
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$tag")
else
  echo "error: neither skopeo nor docker's buildx is here; one of them is needed to ask for the digest of $tag" >&2
  exit 1
fi
if ! [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]]; then
  echo "error: the registry gives no digest of $tag but '$digest'" >&2
  exit 1
fi

for file in Dockerfile crosstune.def; do
  sed "s|\(BASE=$tag\).*|\1@$digest|" $file >$file.new && mv $file.new $file
done
echo "pinned $tag@$digest"
