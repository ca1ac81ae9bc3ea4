# `bin/soak` runs what takes minutes. `--exclude slow`, as in `bin/test --quick`, leaves out what takes
# seconds: most of it measures memory, or how long others have to wait.
ExUnit.start(exclude: [:exhaustive, :brokers, :durable_broker, :pacer_partition])
