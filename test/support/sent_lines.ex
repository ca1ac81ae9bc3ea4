defmodule AdTally.Test.SentLines do
  @moduledoc """
  Whether the lines that the sinks of `guides/warehouse.md` have sent are what their meter has counted.
  """

  import ExUnit.Assertions

  alias AdTally.{Event, Meter, Sketch}

  @minute 60_000
  # Saturday, 28 November 2026: the windows after it are on two dates.
  @begin DateTime.to_unix(~U[2026-11-28 23:58:00Z], :millisecond)
  @campaigns 20

  @doc "Defines a module of the guide."
  def define(module) do
    code = ~r/```elixir\n(defmodule #{Regex.escape(inspect(module))} do\n.*?)```/s
    [_all, code] = Regex.run(code, File.read!("guides/warehouse.md"))
    {{:module, ^module, _code, _last}, _binding} = Code.eval_string(code)
    :ok
  end

  @doc "Options of a meter, in which the last tenth of `rows` and of its sketches have no room."
  def meter(name, rows, sink) do
    [
      name: name,
      dimensions: [:campaign, :creative],
      metrics: [:impressions, :spend_micros],
      reach: [by: [:campaign], max_keys: div(@campaigns * 9, 10)],
      max_keys: div(rows * 9, 10),
      clock: :events,
      window: @minute,
      sinks: [sink]
    ]
  end

  @doc "Records as many rows in each of so many windows."
  def record(name, rows, windows) do
    for window <- 0..(windows - 1), row <- 1..rows do
      %Event{
        at: @begin + window * @minute,
        dimensions: {rem(row, @campaigns), "creative-#{:erlang.phash2({window, row})}"},
        user: :erlang.phash2({:user, window, row}, 5_000),
        metrics: [impressions: 1, spend_micros: :erlang.phash2(row, 1_000_000)]
      }
    end
    |> Enum.chunk_every(10_000)
    |> Enum.each(&Meter.record_many(name, &1))
  end

  @doc "Asserts that gunzipped lines by kind are all that a meter reports, each once."
  def assert_reported(lines, name) do
    lines =
      for {kind, text} <- lines,
          line <- String.split(text, "\n", trim: true),
          do: {kind, fields(line)}

    by_kind = Enum.group_by(lines, &elem(&1, 0), &elem(&1, 1))
    assert Map.keys(by_kind) |> Enum.sort() == ["counters", "overflow", "reach"]

    {reported, [overflow]} =
      name |> Meter.report() |> Enum.split_with(&(not is_map_key(&1, :overflow)))

    assert length(by_kind["counters"]) == length(reported)

    assert Map.new(by_kind["counters"], &{{&1["campaign"], &1["creative"]}, amounts(&1)}) ==
             Map.new(reported, &{{&1.campaign, &1.creative}, {&1.impressions, &1.spend_micros}})

    assert by_kind["overflow"] |> Enum.map(&amounts/1) |> sum() ==
             {overflow.impressions, overflow.spend_micros}

    assert_reach(by_kind, Meter.report(name, by: [:campaign]))
  end

  # Campaigns without room for a sketch in a window have no reach in the report.
  defp assert_reach(by_kind, reported) do
    sketches = Enum.group_by(by_kind["reach"], & &1["campaign"], &sketch/1)
    users = Enum.map(by_kind["overflow"], &sketch/1)

    estimates =
      Map.new([{nil, users} | Map.to_list(sketches)], fn {of, all} -> {of, estimate(all)} end)

    reported =
      for %{reach: reach} = row when reach != nil <- reported, do: {row[:campaign], reach}

    assert length(reported) == map_size(estimates)
    assert Map.new(reported) == estimates
  end

  # Lines are flat, and no text in these has an escape.
  defp fields(line) do
    for [name, value] <- Regex.scan(~r/"(\w+)":("[^"]*"|[^",}]+)/, line, capture: :all_but_first),
        into: %{},
        do: {name, value(value)}
  end

  defp value(~s(") <> text), do: String.trim_trailing(text, ~s("))

  defp value(text) do
    case Integer.parse(text) do
      {number, ""} -> number
      :error -> text
    end
  end

  defp amounts(fields), do: {fields["impressions"], fields["spend_micros"]}

  defp sum(amounts), do: Enum.reduce(amounts, {0, 0}, fn {a, b}, {c, d} -> {a + c, b + d} end)

  defp sketch(%{"reach_sketch" => text}) do
    {:ok, sketch} = text |> Base.decode64!() |> Sketch.from_binary()
    sketch
  end

  defp estimate(sketches) do
    {:ok, union} = Sketch.union(sketches)
    Sketch.estimate(union)
  end
end
