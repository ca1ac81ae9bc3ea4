# `bin/soak` runs what takes minutes. `--exclude slow`, as in `bin/test --quick`, leaves out what takes
# seconds: most of it measures memory, or how long others have to wait.
#
# The time that a test has is there for one that hangs, and not for a machine that is busy.
ExUnit.start(
  timeout: 300_000,
  assert_receive_timeout: AdTally.Test.Polling.patience(),
  exclude: [:exhaustive, :brokers, :durable_broker, :pacer_partition]
)
