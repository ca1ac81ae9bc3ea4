#!/usr/bin/env bash
# The sinks of guides/warehouse.md for RabbitMQ and for S3-compatible stores, as the
# guide has them, against both: test/integration/brokers.sh [OPTIONS OF MIX TEST...].
#
# RabbitMQ is that of the system, started for each test with files, ports and a name
# of its own. The store is moto's server, which is installed under _build/brokers. It
# takes two minutes.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/../../bin/environment"

readonly environment=_build/brokers requirements=test/integration/brokers/requirements.txt

missing=()
[[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && compgen -G "/usr/lib/rabbitmq/lib/*/plugins/amqp_client-*/ebin" >/dev/null ||
  missing+=("RabbitMQ with its Erlang client, as Debian packages it: apt-get install --no-install-recommends rabbitmq-server")
command -v epmd >/dev/null ||
  missing+=("epmd, of Erlang/OTP: apt-get install erlang-base")
python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  missing+=("Python 3.10 or newer with venv: apt-get install python3-venv")

if ((${#missing[@]})); then
  echo "The brokers cannot be run here. Missing:" >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
fi

if ! cmp --silent "$requirements" "$environment/requirements.txt"; then
  echo "Installing $(grep -v '^#' "$requirements")"
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$environment"
fi

bin/setup
MIX_ENV=test exec mix test --only brokers test/guides/rabbit_sink_test.exs test/guides/s3_sink_test.exs "$@"
