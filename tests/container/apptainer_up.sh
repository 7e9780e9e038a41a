#!/usr/bin/env bash
# Apptainer on Debian's stable release, which has no package of it: that of the unstable release, with the C library that
# it was built for in a folder beside it. No library of the machine is replaced. Nothing is done where it is there.
#   apptainer_up.sh FOLDER        FOLDER keeps what was downloaded
# Exit code 77 with a reason where the machine cannot do this.
set -euo pipefail

source "$(dirname "$0")/packages.sh"

if command -v apptainer >/dev/null; then
  apptainer --version
  exit
fi
need_debian apptainer
[ "$(dpkg --print-architecture)" = amd64 ] || cannot "the package of apptainer is fetched for amd64 alone"
folder=$(mkdir -p "$1" && cd "$1" && pwd)
mkdir -p "$folder/apptainer"
cd "$folder/apptainer"
libraries=/opt/apptainer-libraries

if [ ! -e apptainer_local_amd64.deb ]; then
  install "$folder" patchelf

  # apt, asked about other releases without telling the machine's own apt of them.
  mkdir -p apt/lists/partial apt/cache/archives/partial
  for release in trixie sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $release main"
  done >apt/sources.list
  cat >apt/apt.conf <<EOF
Dir::Etc::sourcelist "$PWD/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$PWD/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$PWD/apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
EOF
  APT_CONFIG=apt/apt.conf apt-get update -qq || cannot "Debian's unstable release cannot be had here"
  APT_CONFIG=apt/apt.conf apt-get download -qq \
    apptainer/sid libc6/trixie libseccomp2/trixie libsqlite3-0/trixie || cannot "apptainer's package cannot be had here"

  rm -rf package root
  for package in libc6_*.deb libseccomp2_*.deb libsqlite3-0_*.deb; do dpkg --extract "$package" root; done
  dpkg-deb --raw-extract apptainer_[0-9]*_amd64.deb package
  mkdir -p package$libraries
  find root -path '*/x86_64-linux-gnu/*.so.[0-9]*' -exec cp -L --update {} package$libraries/ \;
  # RPATH, which also serves the libraries that these libraries need; RUNPATH would not.
  for program in usr/bin/apptainer usr/lib/x86_64-linux-gnu/apptainer/bin/starter; do
    patchelf --set-interpreter $libraries/ld-linux-x86-64.so.2 --force-rpath --set-rpath $libraries package/$program
  done
  sed -i -E 's/^Version: .*/&+local/; s/^Depends: .*/Depends: ca-certificates, squashfs-tools, uidmap/' package/DEBIAN/control
  # By default root keeps all capabilities in a container, which fails on a machine whose root lacks some of them.
  sed -i 's/^root default capabilities = .*/root default capabilities = file/' package/etc/apptainer/apptainer.conf
  (cd package && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
  dpkg-deb --build -Znone --root-owner-group package apptainer_local_amd64.deb >/dev/null
  rm -rf package root apt
fi

install "$folder" squashfuse fuse3 ./apptainer_local_amd64.deb
apptainer capability add --user root \
  CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,CAP_SETGID,CAP_SETUID,CAP_SETFCAP,CAP_MKNOD >/dev/null 2>&1
# Ids for --fakeroot, with which images are built.
for file in /etc/subuid /etc/subgid; do grep -q '^root:' $file || echo root:1000000:65536 >>$file; done
apptainer --version
