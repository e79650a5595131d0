#!/usr/bin/env bash
# Gives a Debian machine without a GPU what the WebGPU tests run on: Mesa's Vulkan driver for processors (lavapipe), and
# Chromium, whose tests of the browser bring a driver of their own. Does nothing where they are, where it is not root, or on
# another system; a failure is one line, and the tests then skip with another.
set -uo pipefail
driver=/usr/share/vulkan/icd.d/lvp_icd.json
wanted=()
[ -e "$driver" ] || wanted+=(libvulkan1)
[ -e /usr/bin/chromium ] || wanted+=(chromium)
[ ${#wanted[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] || exit 0

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; }
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
sources=/etc/apt/sources.list.d/debian.sources
backports="/etc/apt/sources.list.d/$release-backports.sources"
# The driver of Debian 12 is too old for Dawn; that of its backports is not.
if [ "$release" = bookworm ] && [ -e "$sources" ] && [ ! -e "$backports" ]; then
  awk 'BEGIN { RS = "" } NR == 1' "$sources" | sed "s/^Suites:.*/Suites: $release-backports/" >"$backports"
fi
apt-get update -qq >/dev/null 2>&1
for package in "${wanted[@]}"; do
  install "$package" || echo "software-gpu: $package could not be installed" >&2
done
if [ ! -e "$driver" ]; then
  if [ -e "$backports" ]; then install -t "$release-backports" mesa-vulkan-drivers; else install mesa-vulkan-drivers; fi ||
    echo "software-gpu: mesa-vulkan-drivers could not be installed; the WebGPU tests will skip" >&2
fi
exit 0
