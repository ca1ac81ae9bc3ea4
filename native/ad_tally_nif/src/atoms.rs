//! The atoms this library knows by name. A table's metrics are the caller's and not among them.

rustler::atoms! {
    ok,
    nil,
    overflow,
    many,
    more,
    done,
    keys,
    max_keys,
    striped_keys,
    memory_bytes,
    message,
    __struct__,
    __exception__,
    argument_error = "Elixir.ArgumentError",
    runtime_error = "Elixir.RuntimeError",
}
