# `mix test --include exhaustive` runs what takes minutes as well.
ExUnit.start(exclude: [:exhaustive])
