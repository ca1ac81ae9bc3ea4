defmodule AdTally.Web.SeriesBoundsTest do
  # What a page keeps at most. A snapshot has the parts of all tests, so no others run meanwhile.
  use ExUnit.Case, async: false

  import AdTally.Test.Polling, only: [await: 1]

  alias AdTally.{Meter, Metrics, Pacer}
  alias AdTally.Web.{Config, Names, Series}

  @most_campaigns 64
  @most_series 1_000

  setup context do
    [name: Module.concat(__MODULE__, "Page#{context.line}")]
  end

  # A page without its process, whose minute is over when a test wants it. All its budgets are of one pacer.
  defp full_of_budgets(name) do
    pacer = Module.concat(name, Full)
    start_supervised!({Pacer, name: pacer}, id: pacer)
    {:ok, series} = Series.init(Config.new!(name: name, port: false))
    for campaign <- 1..@most_campaigns, do: put(pacer, campaign)

    series = Enum.reduce(1..@most_campaigns, series, &watch(&2, pacer, &1))
    other = Module.concat(name, Other)
    start_supervised!({Pacer, name: other}, id: other)
    put(other, 42)
    {pacer, other, series}
  end

  defp watch(series, pacer, campaign) do
    {:noreply, series} = Series.handle_cast({:watch, {pacer, campaign}}, series)
    series
  end

  defp put(pacer, campaign), do: :ok = Pacer.put(pacer, campaign, budget_micros: 5_000_000)

  defp after_a_minute(series) do
    {:noreply, series} = Series.handle_info(:sample, %{series | last: %{1 => nil, 60 => nil}})
    series
  end

  defp sampled?(name, pacer, campaign) do
    names = for {of, _unit} <- Series.names(name), do: of
    Enum.all?(Series.of_campaign(pacer, campaign), fn {_field, of} -> of in names end)
  end

  test "budgets take the places of those that were deleted", %{name: name} do
    {pacer, other, series} = full_of_budgets(name)
    series = after_a_minute(series)
    assert sampled?(name, pacer, 1) and not sampled?(name, other, 42)
    for campaign <- 1..@most_campaigns, do: :ok = Pacer.delete(pacer, campaign)
    after_a_minute(series)
    assert sampled?(name, other, 42)
  end

  test "budgets take the places of those whose pacer has ended", %{name: name} do
    {pacer, other, series} = full_of_budgets(name)
    series = after_a_minute(series)
    assert sampled?(name, pacer, 1) and not sampled?(name, other, 42)
    stop_supervised!(pacer)
    await(fn -> not is_map_key(Metrics.snapshot().pacers, pacer) end)
    after_a_minute(series)
    assert sampled?(name, other, 42)
  end

  test "of more budgets than there is room for, those that were looked at last are sampled", %{
    name: name
  } do
    pacer = Module.concat(name, Pacer)
    start_supervised!({Pacer, name: pacer}, id: pacer)
    {:ok, series} = Series.init(Config.new!(name: name, port: false))
    for campaign <- 1..200, do: put(pacer, campaign)
    series = Enum.reduce(1..200, series, &watch(&2, pacer, &1))
    after_a_minute(series)
    of = for campaign <- 1..200, sampled?(name, pacer, campaign), do: campaign
    assert of == Enum.to_list((201 - @most_campaigns)..200)
  end

  test "there are a thousand series at most, and those of parts that have ended give up their places",
       %{name: name} do
    {:ok, series} = Series.init(Config.new!(name: name, port: false))
    meters = for number <- 1..100, do: Module.concat(name, "Meter#{number}")
    for meter <- meters, do: meter(meter)
    series = after_a_minute(series)
    assert length(Series.names(name)) == @most_series
    assert {"total:memory_bytes", "bytes"} in Series.names(name)

    for meter <- meters, do: stop_supervised!(meter)
    other = Module.concat(name, Other)
    meter(other)
    await(fn -> Enum.all?(meters, &(not is_map_key(Metrics.snapshot().meters, &1))) end)
    # The places are free once the first samples without them were taken.
    series |> after_a_minute() |> after_a_minute()
    assert {"meter:#{Names.name(other)}:applied", "per_second"} in Series.names(name)
    assert length(Series.names(name)) < @most_series
  end

  defp meter(name) do
    start_supervised!({Meter, name: name, dimensions: [:campaign], metrics: [:clicks]}, id: name)
  end
end
