defmodule AdTally.Sink.Files.AttributionLines do
  @moduledoc false
  # The lines of an attribution's window.
  #
  #   credits    common, model, order and action, kind, touch, dimensions, times, amounts, how they came about
  #   touches    common, kind, dimensions, whether they are the overflow, amounts

  @behaviour AdTally.Sink.Files.Lines

  alias AdTally.Attribution.Window
  alias AdTally.Sink.Files.{Lines, Types}
  alias AdTally.Sink.JSON

  @before_dimensions Enum.map([:model, :order_id, :action, :kind, :touch_id], &JSON.name/1)
  @after_dimensions Enum.map(
                      [
                        :touched_at,
                        :converted_at,
                        :adjusted_at,
                        :conversions_ppm,
                        :value_micros,
                        :truncated,
                        :revision
                      ],
                      &JSON.name/1
                    )
  @order Enum.at(@before_dimensions, 1)
  @kind JSON.name(:kind)
  @overflow JSON.name(:overflow)
  @spend Enum.map([:touches, :cost_micros], &JSON.name/1)

  @impl true
  def kinds, do: [:credits, :touches]

  @impl true
  def stream(:credits, window, types) do
    begin = Lines.begin(window)
    columns = Types.columns(window.dimensions, types)
    none = no_dimensions(window)
    models = Map.new(window.models, &{&1, model(&1)})

    window
    |> Window.stream_credits()
    |> Stream.map(fn credit ->
      [
        begin,
        members_before(Map.fetch!(models, credit.model), credit),
        Types.members(columns, credit.dimensions || none),
        Lines.members(@after_dimensions, [
          credit.touched_at,
          credit.converted_at,
          credit.adjusted_at,
          credit.conversions_ppm,
          credit.value_micros,
          credit.truncated,
          credit.revision
        ])
        | "}\n"
      ]
    end)
  end

  def stream(:touches, window, types) do
    begin = Lines.begin(window)
    columns = Types.columns(window.dimensions, types)
    none = no_dimensions(window)

    overflow = for row <- Window.touches_overflow(window), do: Map.put(row, :dimensions, nil)

    window
    |> Window.stream_touches()
    |> Stream.concat(overflow)
    |> Stream.map(fn row ->
      line = [
        begin,
        Lines.members([@kind], [row.kind]),
        Types.members(columns, row.dimensions || none),
        Lines.members([@overflow], [row.dimensions == nil])
      ]

      for amounts <- Lines.parts([row.touches, row.cost_micros]),
          do: [line, Lines.members(@spend, amounts) | "}\n"]
    end)
  end

  # Of an order 42 and an order "42" the column has the same text.
  defp members_before(model, credit) do
    [name, _order | names] = @before_dimensions

    [
      Lines.members([name], [model]),
      [?,, @order, ?:, JSON.text(credit.order)],
      Lines.members(names, [credit.action, credit.kind, credit.touch])
    ]
  end

  @doc "What a model is called in its column."
  @spec model(Window.model()) :: String.t()
  def model({:time_decay, half_life}), do: "time_decay:#{half_life}"
  def model(model), do: Atom.to_string(model)

  defp no_dimensions(window), do: Tuple.duplicate(nil, length(window.dimensions))
end
