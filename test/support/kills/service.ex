defmodule AdTally.Test.Kills.Service do
  @moduledoc """
  A store with caps, an attribution, counters and a meter, whose closed windows become files in two directories.
  What they keep matters for a day or two of event time, so that a run of some days has no more at its end than before.
  """

  alias AdTally.{Attribution, Counters, FrequencyCap, Meter, Sink, Store, Window}

  @second 1_000
  @day 86_400 * @second

  defmodule Files do
    @moduledoc """
    A file for each window, of its name, node, epoch and sequence. One that comes again with other
    rows gets a file beside the first one, whose name ends with `.conflict`.
    """

    @behaviour AdTally.Sink

    @impl true
    def deliver(window, dir: dir) do
      {name, node, epoch, sequence} = Sink.window_id(window)
      path = Path.join(dir, "#{inspect(name)}-#{node}-#{epoch}-#{sequence}")
      rows = :erlang.term_to_binary(rows(window), [:deterministic])

      case File.read(path) do
        {:ok, ^rows} -> :ok
        {:ok, _other} -> File.write!(path <> ".conflict", rows)
        {:error, :enoent} -> put(path, rows)
      end
    end

    # So that a kill leaves no half of one.
    defp put(path, rows) do
      File.write!(path <> ".part", rows)
      File.rename!(path <> ".part", path)
    end

    defp rows(%Window{} = window) do
      reach =
        for {key, sketch} <- Window.reach(window), do: {key, AdTally.Sketch.to_binary(sketch)}

      {:meter, window.start, Enum.sort(Window.counters(window)), Enum.sort(reach)}
    end

    defp rows(%Attribution.Window{} = window) do
      credits = window |> Attribution.Window.credits() |> Enum.sort()
      {:attribution, window.start, credits, window |> Attribution.Window.touches() |> Enum.sort()}
    end
  end

  def attribution_options do
    [
      dimensions: [:campaign],
      touches: [click: @day, view: 3_600 * @second],
      models: [:last_touch, :linear],
      conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
      touches_per_user: 100,
      window: 10 * @second
    ]
  end

  def children(dir) do
    store = [store: __MODULE__.Store]
    sinks = [{Files, dir: windows_dir(dir)}, {Sink.Files, dir: lines_dir(dir)}]
    windows = [clock: :events, lateness: @day, retain: 1, sinks: sinks]

    [
      {Store,
       name: __MODULE__.Store, dir: store_dir(dir), interval: 40, segment_bytes: 1_048_576},
      {FrequencyCap,
       [name: __MODULE__.Caps, capacity: 100_000, tiers: [{300_000, @day}], lifetime: true] ++
         store},
      {Attribution,
       [name: __MODULE__.Attribution, users: 50_000, adjustable_for: @day] ++
         attribution_options() ++ windows ++ store},
      {Counters, [name: __MODULE__.Counters, metrics: [:events]] ++ store},
      {Meter,
       [
         name: __MODULE__.Meter,
         dimensions: [:campaign, :creative],
         metrics: [:impressions, :clicks, :spend_micros],
         window: 10 * @second,
         reach: [by: [:campaign]],
         dedupe: [window: 600 * @second, capacity: 10_000],
         attribution: [name: __MODULE__.Attribution, cost: :spend_micros]
       ] ++ windows ++ store}
    ]
  end

  def windows_dir(dir), do: Path.join(dir, "windows")
  def lines_dir(dir), do: Path.join(dir, "lines")
  def store_dir(dir), do: Path.join(dir, "store")

  @doc "Takes an item: `true` if a cap let it through and it was not released again."
  def take({:event, event}) do
    :ok = Counters.add(__MODULE__.Counters, elem(event.dimensions, 0), :events)
    taken(Meter.record(__MODULE__.Meter, event))
  end

  def take({:conversion, one}), do: taken(Attribution.convert(__MODULE__.Attribution, one))

  def take({:adjust, order, change, at}) do
    # Redelivered it is superseded, or the conversion is retracted already.
    case Attribution.adjust(__MODULE__.Attribution, order, change, at) do
      :ok -> nil
      {:error, :retracted} -> nil
    end
  end

  def take({:admit, mode, scope, user, rule, at}) do
    case FrequencyCap.admit(__MODULE__.Caps, scope, user, [rule], at) do
      :ok when mode == :released -> :ok = FrequencyCap.release(__MODULE__.Caps, scope, user, at)
      :ok -> true
      {:capped, ^rule} -> false
    end
  end

  defp taken(outcome) when outcome in [:ok, :duplicate], do: nil

  @doc "What is on disk once this returns is all that was taken before."
  def sync, do: :ok = Store.sync(__MODULE__.Store)

  @doc "Closes all windows, and returns once they are files."
  def close do
    :ok = Meter.close(__MODULE__.Meter, :infinity)
    :ok = Attribution.close(__MODULE__.Attribution, :infinity)
  end

  def count(scope, user, window, at),
    do: FrequencyCap.count(__MODULE__.Caps, scope, user, window, at)

  @doc "How many events the counters have, which know no copies."
  def counted do
    for({_key, sums} <- Counters.to_list(__MODULE__.Counters), do: sums.events) |> Enum.sum()
  end

  def ready?, do: Store.ready?(__MODULE__.Store)
end
