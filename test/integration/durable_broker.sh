#!/usr/bin/env bash
# What a consumer of RabbitMQ has acknowledged survives kill -9, and is counted once:
# test/integration/durable_broker.sh [OPTIONS OF MIX TEST...].
#
# 300,000 messages, of which every twentieth is published twice; the consumer, a release,
# is killed ten times. MESSAGES, KILLS and SEED set others. It takes three minutes.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/../../bin/environment"

missing=()
[[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && compgen -G "/usr/lib/rabbitmq/lib/*/plugins/amqp_client-*/ebin" >/dev/null ||
  missing+=("RabbitMQ with its Erlang client, as Debian packages it: apt-get install --no-install-recommends rabbitmq-server")
command -v epmd >/dev/null ||
  missing+=("epmd, of Erlang/OTP: apt-get install erlang-base")

if ((${#missing[@]})); then
  echo "The broker cannot be run here. Missing:" >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
fi

bin/setup
MIX_ENV=test exec mix test --only durable_broker test/integration/durable_broker_test.exs "$@"
