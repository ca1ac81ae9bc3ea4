defmodule AdTally.Engines.Expectation do
  @moduledoc "What an engine has to find in the files of a meter, from the meter's own report."

  alias AdTally.Engines.Input
  alias AdTally.{Meter, Sink}

  @doc """
  The report by campaign, as a campaign is written to its column, and the overflow. Campaigns that are one
  in the column, as 7 and "7" are in text, are reported together. Nothing where there are no campaigns.
  """
  @spec report(keyword()) :: map()
  def report(options),
    do: if(:campaign in options[:dimensions], do: report_campaigns(options), else: %{})

  defp report_campaigns(options) do
    name = options[:name]

    {overflow, rows} =
      name |> Meter.report(by: [:campaign]) |> Enum.split_with(&Map.has_key?(&1, :overflow))

    [{Sink.Files, sink}] = options[:sinks]

    %{
      campaigns: campaigns(name, rows, &column(&1, sink[:types][:campaign])),
      campaigns_as_text: campaigns(name, rows, &column(&1, :string)),
      overflow: overflow |> Enum.map(&Map.delete(&1, :overflow)) |> List.first(),
      totals:
        Map.new(options[:metrics], fn metric ->
          {metric, Enum.sum(for row <- overflow ++ rows, do: row[metric])}
        end)
    }
  end

  defp campaigns(name, rows, column) do
    for {campaign, rows} <- Enum.group_by(rows, &column.(&1.campaign)) do
      values = Enum.map(rows, & &1.campaign)
      [row | _overflow] = Meter.report(name, by: [], where: [campaign: values])
      Map.put(row, :campaign, campaign)
    end
  end

  @doc "What the documentation of AdTally.Sink.Files says of a column of this type."
  @spec column(term(), :string | :integer | nil) :: term()
  def column(nil, _type), do: nil
  def column("base64:" <> _ = text, _type), do: "base64:" <> Base.encode64(text)

  def column(text, _type) when is_binary(text),
    do: if(String.valid?(text), do: text, else: "base64:" <> Base.encode64(text))

  def column(value, :string), do: "#{value}"
  def column(value, nil) when is_boolean(value) or is_integer(value), do: value
  def column(value, nil), do: Atom.to_string(value)

  @doc "Everything that expected.json has of a meter."
  @spec new(keyword(), [AdTally.Event.t()], map(), Path.t()) :: map()
  def new(options, events, report, dir) do
    [{Sink.Files, sink}] = options[:sinks]

    Map.merge(report, %{
      meter: inspect(options[:name]),
      dimensions: options[:dimensions],
      metrics: options[:metrics],
      reach_by: options[:reach][:by],
      types: if(sink[:types], do: Map.new(sink[:types])),
      windows: events |> Enum.map(&div(&1.at, options[:window])) |> Enum.uniq() |> length(),
      dates: events |> Enum.map(&date/1) |> Enum.uniq() |> Enum.sort(),
      declarations:
        Map.new([:bigquery, :spark, :flink, :duckdb], &{&1, Sink.Files.schema(options, &1)}),
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
