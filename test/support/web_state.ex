defmodule AdTally.Test.WebState do
  @moduledoc """
  A service with a part of every kind, with events of four minutes, of which a page shows something on each of its
  views. Its parts have fixed names.
  """

  import ExUnit.Callbacks, only: [on_exit: 1, start_supervised!: 1]

  alias AdTally.{
    Attribution,
    Conversion,
    Counters,
    Dedupe,
    Event,
    FrequencyCap,
    Meter,
    Pacer,
    Store,
    Web
  }

  defmodule Sink do
    @moduledoc false
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, _options), do: :ok
  end

  @minute 60_000

  @doc "Starts it, and the page `AdTally.Web` with these options."
  def start(web) do
    dir = Path.join(System.tmp_dir!(), "ad_tally_web_state_#{System.pid()}")
    File.rm_rf!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    start_supervised!({Store, name: __MODULE__.Store, dir: dir})

    start_supervised!(
      {Attribution,
       name: __MODULE__.Attribution,
       dimensions: [:campaign, :creative],
       touches: [click: 7 * 24 * 60 * @minute],
       models: [:last_touch, :first_touch, :linear, :position_based],
       conversions: [purchase: :every],
       sinks: [{Sink, []}],
       store: __MODULE__.Store}
    )

    start_supervised!(
      {Meter,
       name: __MODULE__.Ads,
       dimensions: [:campaign, :creative, :country],
       metrics: [:impressions, :clicks, :purchases, :spend_micros, :video_starts],
       reach: [by: [:campaign]],
       dedupe: [capacity: 10_000],
       attribution: [name: __MODULE__.Attribution, cost: :spend_micros],
       sinks: [{Sink, []}],
       store: __MODULE__.Store}
    )

    start_supervised!({FrequencyCap, name: __MODULE__.Caps, capacity: 1_000})
    start_supervised!({Dedupe, name: __MODULE__.Ids, capacity: 1_000})
    start_supervised!({Pacer, name: __MODULE__.Pacer})
    crash(__MODULE__.Crashed)
    record(System.system_time(:millisecond))
    start_supervised!({Web, web})
  end

  # One that should run and does not, until the test is over.
  defp crash(name) do
    {:ok, pid} = Counters.start_link(name: name, metrics: [:clicks])
    Process.unlink(pid)
    Process.exit(pid, :kill)

    on_exit(fn ->
      {:ok, pid} = Counters.start_link(name: name, metrics: [:clicks])
      GenServer.stop(pid)
    end)
  end

  # Users, campaigns and creatives that follow from a number.
  defp record(now) do
    for minute <- 0..3,
        {campaign, count} <- [{42, 100}, {"<script>alert(1)</script>", 10}, {:summer_sale, 3}],
        i <- 1..count do
      event = %Event{
        id: {campaign, minute, i},
        at: now - minute * @minute,
        user: rem(7 * i, 50),
        dimensions: {campaign, rem(i, 2), "us"},
        metrics: [impressions: 1, spend_micros: 1_250]
      }

      :ok = Meter.record(__MODULE__.Ads, event)
      if rem(i, 10) == 0, do: click(event, 1_000 * minute + i)
    end

    for i <- 1..60 do
      order = %Conversion{order: i, user: i, at: now, action: :purchase, value_micros: 60_000_000}
      :ok = Attribution.convert(__MODULE__.Attribution, order)
    end

    :ok =
      Pacer.put(__MODULE__.Pacer, 42,
        budget_micros: 50_000_000,
        period: {:daily, "Etc/UTC"},
        pace: :asap
      )

    for i <- 1..10 do
      {:ok, reservation} = Pacer.reserve(__MODULE__.Pacer, 42, i, 2_500, now)
      :ok = Pacer.confirm(__MODULE__.Pacer, reservation, 1_250, now)
    end
  end

  defp click(event, id) do
    metrics = [clicks: 1, purchases: 1, spend_micros: 5_000]
    id = "click-#{id}-#{elem(event.dimensions, 0)}"
    :ok = Meter.record(__MODULE__.Ads, %{event | id: id, touch: :click, metrics: metrics})
  end
end
