defmodule AdTally.Store.Config do
  @moduledoc false
  # The options of a store, checked, and as native code takes them.

  alias AdTally.{Named, Options}

  @options [
    :name,
    :dir,
    :interval,
    :buffer_bytes,
    :segment_bytes,
    :max_age,
    :repair,
    :telemetry_interval
  ]

  # A minute: what is recorded in an interval is lost with the VM.
  @longest_interval 60_000

  # The least is more than the largest record, the most what a machine may have.
  @bytes 1_048_576..1_099_511_627_776

  # Of the atoms that the VM can still make, this share may come from a store.
  @atom_share 2

  @typedoc "`native` is what native code takes."
  @type t :: %{
          name: atom(),
          dir: Path.t(),
          native: keyword(),
          telemetry_interval: pos_integer()
        }

  @spec new!(keyword()) :: t()
  def new!(options) do
    {name, _others} = Options.pop_name!(options)
    options = Options.known!(options, @options)

    %{
      name: Named.free!(name),
      dir: dir!(Keyword.get(options, :dir)),
      native: [
        interval: Options.milliseconds!(options, :interval, 1_000, @longest_interval),
        buffer_bytes: bytes!(options, :buffer_bytes, 67_108_864),
        segment_bytes: bytes!(options, :segment_bytes, 67_108_864),
        max_age: Options.milliseconds!(options, :max_age, 3_600_000),
        repair: repair(Options.one_of!(options, :repair, [false, :truncate])),
        atom_room:
          div(:erlang.system_info(:atom_limit) - :erlang.system_info(:atom_count), @atom_share)
      ],
      telemetry_interval: Options.timer!(options, :telemetry_interval, 10_000)
    }
  end

  defp repair(false), do: 0
  defp repair(:truncate), do: 1

  # As a binary and absolute, because the working directory may change. Bytes that are no UTF-8 are a good name.
  defp dir!(dir) when is_binary(dir) and dir != "" do
    if String.contains?(dir, <<0>>), do: no_dir!(dir), else: Path.expand(dir)
  end

  defp dir!(other), do: no_dir!(other)

  defp no_dir!(other) do
    raise ArgumentError,
          "expected :dir to be the path of a directory, a binary, got: #{Options.shown(other)}"
  end

  defp bytes!(options, name, default) do
    case Keyword.get(options, name, default) do
      bytes when is_integer(bytes) and bytes in @bytes ->
        bytes

      other ->
        raise ArgumentError,
              "expected #{inspect(name)} to be bytes, an integer from #{@bytes.first} to #{@bytes.last}, " <>
                "got: #{Options.shown(other)}"
    end
  end
end
