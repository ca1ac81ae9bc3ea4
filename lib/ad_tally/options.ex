defmodule AdTally.Options do
  @moduledoc false
  # The options of this library's modules, checked once, when something is made or started. An error says
  # what would have been right.

  alias AdTally.Native

  @type seed :: 0..0xFFFF_FFFF_FFFF_FFFF | nil

  @most_keys 1_000_000_000
  # Some 4,400 years.
  @most_milliseconds 0x7FFF_FFFF_FFFF
  # What a process can wait for.
  @longest_timeout 0xFFFF_FFFF

  # A term as messages show it: in Elixir's syntax, cut to a line, in microseconds for any term. inspect/1
  # prints all digits of an integer, which takes minutes for ten million, and runs a struct's own code.
  def shown(term), do: Native.shown(term)

  def known!(options, known) do
    # Of more options than are known at least one is unknown or repeated.
    keys = keys(options, length(known) + 1)

    if keys == :none do
      # Messages are logged: what may hold a secret is not in them.
      got = if :secret in known or :token in known, do: "", else: ", got: #{shown(options)}"
      raise ArgumentError, "expected a keyword list of options" <> got
    end

    case keys -- known do
      [] ->
        options

      unknown ->
        raise ArgumentError,
              "unknown or repeated options #{shown(unknown)}, " <>
                "known are #{enumerate(known)}, once each"
    end
  end

  # The first keys of a keyword list, or :none if it is not one.
  defp keys([], _most), do: []
  defp keys([{key, _value} | _options], 1) when is_atom(key), do: [key]

  defp keys([{key, _value} | options], most) when is_atom(key),
    do: with(keys when is_list(keys) <- keys(options, most - 1), do: [key | keys])

  defp keys(_other, _most), do: :none

  # The name of what is started with these options, and the others.
  def pop_name!(options) do
    case is_list(options) && List.keytake(options, :name, 0) do
      {{:name, name}, others} when is_atom(name) and name not in [nil, true, false] ->
        {name, others}

      {{:name, other}, _others} ->
        raise ArgumentError, "expected :name to be an atom, got: #{shown(other)}"

      _none ->
        raise ArgumentError, "expected a keyword list of options with a :name, which is an atom"
    end
  end

  def max_keys!(options, default), do: count!(options, :max_keys, default)

  def count!(options, name, default), do: integer!(options, name, default, @most_keys)

  # From 1 on. What it has to be may be said in other words.
  def integer!(options, name, default, most, words \\ nil) do
    case Keyword.get(options, name, default) do
      integer when is_integer(integer) and integer in 1..most//1 ->
        integer

      other ->
        raise ArgumentError,
              "expected #{inspect(name)} to be #{words || "an integer from 1 to #{most}"}, got: #{shown(other)}"
    end
  end

  def milliseconds!(options, name, default, most \\ @most_milliseconds, least \\ 1) do
    case Keyword.get(options, name, default) do
      milliseconds when is_integer(milliseconds) and milliseconds in least..most//1 ->
        milliseconds

      other ->
        raise ArgumentError,
              "expected #{inspect(name)} to be milliseconds, an integer from #{least} to #{most}, got: #{shown(other)}"
    end
  end

  # Milliseconds that a timer is set for.
  def timer!(options, name, default, least \\ 1),
    do: milliseconds!(options, name, default, @longest_timeout, least)

  def timeout!(options, default) do
    case Keyword.get(options, :timeout, default) do
      :infinity ->
        :infinity

      timeout when is_integer(timeout) and timeout in 0..@longest_timeout ->
        timeout

      other ->
        raise ArgumentError,
              "expected :timeout to be milliseconds, an integer from 0 to #{@longest_timeout}, or " <>
                ":infinity, got: #{shown(other)}"
    end
  end

  # A time in Unix milliseconds, or as a DateTime.
  def time!(options, name, default) do
    case Keyword.fetch(options, name) do
      :error -> default
      {:ok, time} -> checked_time!(name, time, milliseconds(time))
    end
  end

  defp checked_time!(_name, _time, milliseconds)
       when is_integer(milliseconds) and milliseconds >= 0,
       do: milliseconds

  # With wrong fields it may look like a good one, unless it is shown as a map.
  defp checked_time!(name, time, :wrong_fields), do: no_time!(name, Map.from_struct(time))
  defp checked_time!(name, time, _other), do: no_time!(name, time)

  # The first millisecond that is not before it: windows begin at whole ones. `DateTime`'s error would contain the
  # wrong year, however large, so the year is checked first.
  defp milliseconds(%DateTime{year: year} = time) when year in 0..9_999 do
    -Integer.floor_div(-DateTime.to_unix(time, :microsecond), 1_000)
  rescue
    _error -> :wrong_fields
  end

  defp milliseconds(%DateTime{}), do: :wrong_fields

  defp milliseconds(time), do: time

  defp no_time!(name, time) do
    raise ArgumentError,
          "expected #{inspect(name)} to be Unix milliseconds or a DateTime, from 1970 on, got: " <>
            shown(time)
  end

  # A time zone: a name of the IANA database, or {:utc_offset, milliseconds} less than a day either way.
  def zone!(zone, of) do
    case zone do
      name when is_binary(name) ->
        zone_name!(name)

      {:utc_offset, offset} when is_integer(offset) and offset in -86_399_999..86_399_999 ->
        zone

      other ->
        raise ArgumentError,
              "expected #{of} to be a time zone, such as \"Europe/Berlin\", or {:utc_offset, milliseconds}, " <>
                "less than a day (86400000 ms) either way, got: #{shown(other)}"
    end
  end

  # The name of a time zone. The first time it is read from the disk.
  def zone_name!(name) do
    with false <- Native.zone_known(name),
         {:error, message} <- Native.zone_check(name) do
      raise ArgumentError, message
    else
      _known -> name
    end
  end

  def boolean!(options, name, default) do
    case Keyword.get(options, name, default) do
      value when is_boolean(value) ->
        value

      other ->
        raise ArgumentError,
              "expected #{inspect(name)} to be true or false, got: #{shown(other)}"
    end
  end

  # The first one by default.
  def one_of!(options, name, [default | _] = values) do
    value = Keyword.get(options, name, default)

    if value in values do
      value
    else
      raise ArgumentError,
            "expected #{inspect(name)} to be #{Enum.map_join(values, " or ", &inspect/1)}, " <>
              "got: #{shown(value)}"
    end
  end

  def precision!(options, default) do
    case Keyword.get(options, :precision, default) do
      precision when is_integer(precision) and precision in 4..18 ->
        precision

      other ->
        raise ArgumentError,
              "expected :precision to be an integer from 4 to 18, got: #{shown(other)}"
    end
  end

  def secret!(options) do
    case Keyword.get(options, :secret) do
      nil ->
        nil

      <<_::128>> = secret ->
        secret

      # Not shown either: it may be half of a secret.
      _other ->
        raise ArgumentError, "expected :secret to be a binary of 16 bytes, or nil for none"
    end
  end

  @doc "What the documentation of every module of tables says of `:seed`."
  @spec seed_doc(String.t()) :: String.t()
  def seed_doc(hashed) do
    "`:seed` - the number under which #{hashed} are hashed, from 0 to 2^64 - 1. Tables of ids and of " <>
      "caps that exchange exports need the same one. Whoever knows it can choose #{hashed} that collide. Default: `nil`, for a " <>
      "random one."
  end

  # What keys are hashed under, nil for a random one.
  def seed!(options) do
    case Keyword.get(options, :seed) do
      nil ->
        nil

      seed when is_integer(seed) and seed in 0..0xFFFF_FFFF_FFFF_FFFF ->
        seed

      other ->
        raise ArgumentError,
              "expected :seed to be an integer from 0 to 2^64 - 1, or nil for a random one, got: #{shown(other)}"
    end
  end

  # Whether it is a list of one to `most` different atoms.
  def distinct_atoms?(names, most), do: distinct?(names, most, &is_atom/1)

  # Whether it is a list of one to `most` different elements that pass. A longer one is not read further.
  def distinct?(list, most, passes?), do: distinct?(list, most, passes?, [])

  defp distinct?([], _most, _passes?, seen), do: seen != []

  defp distinct?([element | list], most, passes?, seen) when most > 0,
    do:
      passes?.(element) and element not in seen and
        distinct?(list, most - 1, passes?, [element | seen])

  defp distinct?(_other, _most, _passes?, _seen), do: false

  # Where names are among all, and where one is, from 0 on.
  def places(names, all), do: Enum.map(names, &place(&1, all))

  def place(name, all), do: Enum.find_index(all, &(&1 == name))

  defp enumerate(names) do
    {last, others} = names |> Enum.map(&inspect/1) |> List.pop_at(-1)
    if others == [], do: last, else: "#{Enum.join(others, ", ")} and #{last}"
  end

  # Some of the dimensions, each once.
  def subset!(names, option, all) do
    if names == [] or (distinct_atoms?(names, length(all)) and names -- all == []) do
      names
    else
      raise ArgumentError,
            "expected #{inspect(option)} to be a list of dimensions, of #{inspect(all)}, got: #{shown(names)}"
    end
  end
end
