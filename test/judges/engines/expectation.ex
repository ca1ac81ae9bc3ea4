defmodule AdTally.Engines.Expectation do
  @moduledoc "What an engine has to find in the files of a meter, from the meter's own report."

  alias AdTally.Engines.Input
  alias AdTally.{Meter, Sink}

  @doc """
  The report by campaign, as a campaign stands in its column, and the overflow. Campaigns that are one in
  the column, as 7 and "7" are in text, are reported together.
  """
  @spec report(keyword()) :: map()
  def report(options) do
    name = options[:name]
    type = campaign_type(options)

    {overflow, rows} =
      name |> Meter.report(by: [:campaign]) |> Enum.split_with(&Map.has_key?(&1, :overflow))

    campaigns =
      for {column, rows} <- Enum.group_by(rows, &column(&1.campaign, type)) do
        values = Enum.map(rows, & &1.campaign)
        [row | _overflow] = Meter.report(name, by: [], where: [campaign: values])
        Map.put(row, :campaign, column)
      end

    totals =
      for metric <- options[:metrics],
          into: %{},
          do: {metric, Enum.sum(for row <- overflow ++ campaigns, do: row[metric])}

    overflow = with [row] <- overflow, do: Map.delete(row, :overflow)
    %{campaigns: campaigns, overflow: if(overflow == [], do: nil, else: overflow), totals: totals}
  end

  defp campaign_type(options) do
    [{Sink.Files, sink}] = options[:sinks]
    sink[:types][:campaign]
  end

  # What the documentation of AdTally.Sink.Files says of a column of this type.
  defp column(nil, _type), do: nil
  defp column("base64:" <> _ = text, :string), do: "base64:" <> Base.encode64(text)
  defp column(value, :string) when is_integer(value) or is_atom(value), do: "#{value}"
  defp column(value, _type) when is_boolean(value) or is_integer(value), do: value
  defp column(value, _type) when is_atom(value), do: Atom.to_string(value)

  defp column(text, _type),
    do: if(String.valid?(text), do: text, else: "base64:" <> Base.encode64(text))

  @doc "Everything that expected.json has of a meter."
  @spec new(keyword(), [AdTally.Event.t()], map(), Path.t()) :: map()
  def new(options, events, report, dir) do
    [{Sink.Files, sink}] = options[:sinks]

    declared =
      Keyword.take(options, [:dimensions, :metrics, :reach]) ++ Keyword.take(sink, [:types])

    Map.merge(report, %{
      meter: inspect(options[:name]),
      dimensions: options[:dimensions],
      metrics: options[:metrics],
      reach_by: options[:reach][:by],
      types: if(sink[:types], do: Map.new(sink[:types])),
      windows: events |> Enum.map(&div(&1.at, options[:window])) |> Enum.uniq() |> length(),
      dates: events |> Enum.map(&date/1) |> Enum.uniq() |> Enum.sort(),
      declarations:
        Map.new([:bigquery, :spark, :flink, :duckdb], &{&1, Sink.Files.schema(declared, &1)}),
      users: if(Path.basename(dir) == "dense", do: users())
    })
  end

  defp date(event),
    do: event.at |> DateTime.from_unix!(:millisecond) |> DateTime.to_date() |> Date.to_iso8601()

  defp users do
    for {campaign, users} <- Input.dense_users(),
        into: %{},
        do: {campaign, %{first: users.first, last: users.last}}
  end
end
