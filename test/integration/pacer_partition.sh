#!/usr/bin/env bash
# A pacer on two nodes whose cable is cut never spends more than its budgets, and goes on once it is put back:
# test/integration/pacer_partition.sh [OPTIONS OF MIX TEST...], as root.
#
# Each node is in a network namespace of its own, with its own epmd; the cable is a pair of veth devices. It is cut
# again and again, for shorter and longer than the nodes' net_ticktime, for ten minutes. MINUTES and SEED set others.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/../../bin/environment"

missing=()
command -v ip >/dev/null || missing+=("ip: apt-get install iproute2")
command -v epmd >/dev/null || missing+=("epmd, of Erlang/OTP: apt-get install erlang-base")
[[ $(id -u) == 0 ]] || missing+=("the right to make network namespaces: run it as root")

if ((${#missing[@]})); then
  echo "The nodes cannot be run here. Missing:" >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
fi

# Names of this run, and addresses that are kept for benchmarks of networks.
export AD_TALLY_NAMESPACES="ad_tally_$$_a ad_tally_$$_b"
read -r a b <<<"$AD_TALLY_NAMESPACES"

remove() {
  local namespace
  for namespace in "$a" "$b"; do
    # epmd goes on when its nodes have ended.
    ip netns pids "$namespace" 2>/dev/null | xargs --no-run-if-empty kill -9 || true
    ip netns del "$namespace" 2>/dev/null || true
  done
}
trap remove EXIT

ip netns add "$a"
ip netns add "$b"
ip link add cable netns "$a" type veth peer name cable netns "$b"
ip -n "$a" address add 198.18.0.1/30 dev cable
ip -n "$b" address add 198.18.0.2/30 dev cable
for namespace in "$a" "$b"; do
  ip -n "$namespace" link set lo up
  ip -n "$namespace" link set cable up
done

bin/setup
MIX_ENV=test mix test --only pacer_partition test/integration/pacer_partition_test.exs "$@"
