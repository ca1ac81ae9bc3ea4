defmodule AdTally.Demo.Live do
  @moduledoc """
  A service that goes on: impressions of the log as if they came now, some of which are clicked, some of which lead to
  an order, and ten campaigns with a budget and a frequency cap. Its page is `AdTally.Web`.
  """

  alias AdTally.{
    Admission,
    Attribution,
    Conversion,
    Event,
    FrequencyCap,
    Meter,
    Pacer,
    Store,
    Web
  }

  @ads AdTally.Demo.Live.Ads
  @attribution AdTally.Demo.Live.Attribution
  @caps AdTally.Demo.Live.Caps
  @pacer AdTally.Demo.Live.Pacer
  @store AdTally.Demo.Live.Store

  # Impressions of a tenth of a second.
  @some 40
  @tick 100

  # What the meter still takes is there at once, so that curves have a begin.
  @before :timer.minutes(4)

  @budgeted 10
  @three_an_hour [{3, :timer.hours(1)}]
  # In micros. A click costs more than what is shown.
  @highest_price 4_000
  @click 250_000

  @doc "Starts the service, its page and its traffic, and returns the address of the page."
  @spec start([map()], :inet.port_number(), Path.t()) :: {:ok, String.t()} | {:error, String.t()}
  def start(impressions, port, dir) do
    children = [
      {Store, name: @store, dir: dir},
      {Attribution,
       name: @attribution,
       dimensions: [:campaign],
       touches: [click: :timer.hours(24 * 7), view: :timer.hours(24)],
       models: [:last_touch, :first_touch, :linear, :position_based],
       conversions: [purchase: :every],
       store: @store},
      {Meter,
       name: @ads,
       dimensions: [:campaign, :policy, :position],
       metrics: [:impressions, :clicks, :spend_micros],
       reach: [by: [:campaign]],
       dedupe: [capacity: 1_000_000],
       attribution: [name: @attribution, cost: :spend_micros],
       sinks: [{AdTally.Sink.Files, dir: Path.join(dir, "rollups")}],
       store: @store},
      {FrequencyCap, name: @caps, capacity: 100_000},
      {Pacer, name: @pacer, store: @store, tick: 5_000},
      {Web, name: Web, port: port}
    ]

    # A port that is taken is told, and no crash of this process.
    trapping? = Process.flag(:trap_exit, true)
    started = Supervisor.start_link(children, strategy: :one_for_one)
    Process.flag(:trap_exit, trapping?)

    case started do
      {:ok, _supervisor} ->
        begin(impressions)
        {:ok, Web.address()}

      {:error, {:shutdown, {:failed_to_start_child, {Web, _name}, reason}}} ->
        {:error, listening(reason)}
    end
  end

  defp listening({:shutdown, {:failed_to_start_child, _listener, reason}}) when is_binary(reason),
    do: reason

  defp listening(other), do: inspect(other)

  defp begin(impressions) do
    log = List.to_tuple(impressions)
    budgets(impressions)
    now = System.system_time(:millisecond)
    ticks = div(@before, @tick)
    for tick <- 1..ticks, do: tick(log, tick, now - @before + tick * @tick)
    spawn_link(fn -> go_on(log, ticks + 1) end)
  end

  # Of those that are shown most often.
  defp budgets(impressions) do
    campaigns =
      impressions
      |> Enum.frequencies_by(&campaign/1)
      |> Enum.sort_by(fn {campaign, count} -> {-count, campaign} end)
      |> Enum.take(@budgeted)

    for {{campaign, _count}, number} <- Enum.with_index(campaigns) do
      pace = Enum.at([:even, :asap, {:front_loaded, 0.5}], rem(number, 3))
      period = {:daily, "Etc/UTC"}
      :ok = Pacer.put(@pacer, campaign, budget_micros: 500_000_000, period: period, pace: pace)
    end
  end

  defp go_on(log, tick) do
    at = System.system_time(:millisecond)
    tick(log, tick, at)
    Process.sleep(max(@tick - (System.system_time(:millisecond) - at), 1))
    go_on(log, tick + 1)
  end

  # What comes of an impression follows from its number, so that every run has the same.
  defp tick(log, tick, at) do
    for i <- 0..(@some - 1) do
      number = tick * @some + i
      impression = elem(log, rem(number, tuple_size(log)))
      show(impression, number, at)
    end
  end

  defp show(impression, number, at) do
    campaign = campaign(impression)
    user = "#{impression.segment}-#{:erlang.phash2(number, 20)}"
    price = 500 + :erlang.phash2({:price, number}, @highest_price - 500)
    parts = {@caps, @pacer}

    case Admission.admit(parts, campaign, user, @three_an_hour, number, @highest_price, at) do
      {:ok, reservation} ->
        Pacer.confirm(@pacer, reservation, price, at)
        shown(impression, campaign, user, number, price, at)

      :unknown ->
        shown(impression, campaign, user, number, price, at)

      _capped_or_without_money ->
        :ok
    end
  end

  defp shown(impression, campaign, user, number, price, at) do
    event = %Event{
      id: number,
      at: at,
      user: user,
      dimensions: {campaign, impression.policy, impression.position},
      touch: :view,
      metrics: [impressions: 1, spend_micros: price]
    }

    Meter.record(@ads, event)
    # A fiftieth is delivered twice.
    if rem(number, 50) == 0, do: Meter.record(@ads, event)
    if impression.clicked? or :erlang.phash2({:click, number}, 40) == 0, do: click(event, number)
  end

  defp click(event, number) do
    id = 1_000_000_000_000 + number

    Meter.record(@ads, %{
      event
      | id: id,
        touch: :click,
        metrics: [clicks: 1, spend_micros: @click]
    })

    if :erlang.phash2({:order, number}, 8) == 0 do
      Attribution.convert(@attribution, %Conversion{
        order: number,
        user: event.user,
        at: event.at,
        action: :purchase,
        value_micros: 20_000_000 + 10_000 * :erlang.phash2({:value, number}, 6_000)
      })
    end
  end

  defp campaign(impression), do: "#{impression.campaign}-#{impression.item}"
end
