defmodule AdTally.Metrics.Prometheus do
  @moduledoc """
  `AdTally.Metrics.snapshot/0` as text that Prometheus reads.

  Answer a request of Prometheus with it, from whatever serves HTTP:

      def metrics(conn, _params) do
        conn
        |> put_resp_header("content-type", AdTally.Metrics.Prometheus.content_type())
        |> send_resp(200, AdTally.Metrics.Prometheus.render())
      end

  Where no HTTP server runs, `AdTally.Web` has one that answers `/metrics`.

  ## Names

  Every name begins with `adtally_`. Counters end in `_total` and never fall while the VM lives. Times are in seconds,
  sizes in bytes, money in micros of whatever currency the amounts are. The table of all names is in
  [Observability](observability.html#metrics).

  Labels are names of meters, tables, sinks and metrics, and outcomes: the configuration bounds how many series there
  are. With `top: n` there are those of n campaigns as well. The node is none of them. Prometheus adds `instance`.
  """

  alias AdTally.Metrics
  alias AdTally.Metrics.Catalog
  alias AdTally.Options

  @typedoc "A format: text 0.0.4, which every version of Prometheus reads, or OpenMetrics 1.0."
  @type format :: :prometheus | :openmetrics

  # Milliseconds.
  @turn_ms 2

  @formats [:prometheus, :openmetrics]

  @doc """
  The text, as iodata.

    * `:format` - `:prometheus` for text 0.0.4, or `:openmetrics` for OpenMetrics 1.0. Default: `:prometheus`
    * `:top` - of how many campaigns of each meter there are series, `adtally_campaign_metric_total`, from 0 to 1,000, see
      `AdTally.Metrics.snapshot/0`. The label of all others together is `other`. Default: 0, for none

  Raises `ArgumentError` for another option.

      iex> {:ok, _meter} = AdTally.Meter.start_link(name: Scraped, dimensions: [:campaign], metrics: [:clicks])
      iex> text = IO.iodata_to_binary(AdTally.Metrics.Prometheus.render())
      iex> text =~ ~s(\\nadtally_events_total{meter="Scraped",outcome="applied"} 0\\n)
      true
      iex> open = IO.iodata_to_binary(AdTally.Metrics.Prometheus.render(format: :openmetrics))
      iex> String.ends_with?(open, "# EOF\\n")
      true
  """
  @spec render(format: format(), top: 0..1_000) :: iodata()
  def render(options \\ []) do
    options = Options.known!(options, [:format, :top])
    format = format!(Keyword.get(options, :format, :prometheus))
    top = Metrics.top!(options)

    first(fn look ->
      snapshot = Metrics.with_top(top)
      look.()
      samples = Catalog.samples(snapshot)

      families =
        for {metric, samples} <- samples, samples != [] do
          look.()
          family(metric, samples, format)
        end

      [families | eof(format)]
    end)
  end

  # Beside processes that record on all schedulers it would wait for some thirty turns of theirs. A thousand series take
  # about as long as one of these turns, so it goes first for that time; then it waits as everybody does.
  defp first(act) do
    before = Process.flag(:priority, :high)
    until = System.monotonic_time(:millisecond) + @turn_ms

    look = fn ->
      if System.monotonic_time(:millisecond) > until, do: Process.flag(:priority, before)
    end

    try do
      act.(look)
    after
      Process.flag(:priority, before)
    end
  end

  @doc """
  The value of the header `content-type` for a format.

      iex> AdTally.Metrics.Prometheus.content_type(:openmetrics)
      "application/openmetrics-text; version=1.0.0; charset=utf-8"
  """
  @spec content_type(format()) :: String.t()
  def content_type(format \\ :prometheus)
  def content_type(:prometheus), do: "text/plain; version=0.0.4; charset=utf-8"
  def content_type(:openmetrics), do: "application/openmetrics-text; version=1.0.0; charset=utf-8"
  def content_type(other), do: format!(other)

  @doc """
  The format that the header `accept` of a request asks for. Prometheus asks for OpenMetrics, a browser for none of them.

      iex> accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
      iex> AdTally.Metrics.Prometheus.accepted(accept)
      :openmetrics
      iex> AdTally.Metrics.Prometheus.accepted("text/html, */*")
      :prometheus
  """
  @spec accepted(String.t() | nil) :: format()
  def accepted(nil), do: :prometheus

  # Whoever names it can read it, whatever it likes better.
  def accepted(accept) when is_binary(accept),
    do: if(accept =~ ~r"application/openmetrics-text"i, do: :openmetrics, else: :prometheus)

  defp format!(format) when format in @formats, do: format

  defp format!(other) do
    raise ArgumentError,
          "expected :format to be one of #{inspect(@formats)}, got: #{Options.shown(other)}"
  end

  defp eof(:prometheus), do: []
  defp eof(:openmetrics), do: ["# EOF\n"]

  defp family(metric, samples, format) do
    [head(metric, format) | for({labels, value} <- samples, do: sample(metric, labels, value))]
  end

  # In text 0.0.4 the name of a family is that of its samples, and there are no units.
  defp head(%{type: type} = metric, :prometheus) do
    name = [metric.name | suffix(type)]
    type = if type == :info, do: "gauge", else: Atom.to_string(type)
    ["# HELP ", name, ?\s, escape(metric.help, ["\\", "\n"]), "\n# TYPE ", name, ?\s, type, ?\n]
  end

  defp head(%{name: name} = metric, :openmetrics) do
    unit = if metric.unit, do: ["# UNIT ", name, ?\s, metric.unit, ?\n], else: []
    help = escape(metric.help, ["\\", "\n", "\""])

    [
      "# TYPE ",
      name,
      ?\s,
      Atom.to_string(metric.type),
      ?\n,
      unit,
      "# HELP ",
      name,
      ?\s,
      help,
      ?\n
    ]
  end

  defp sample(%{type: :histogram} = metric, labels, times) do
    labels = labels(metric.labels, labels)

    buckets =
      for {upper, count} <- times.buckets,
          do: [
            metric.name,
            "_bucket{",
            labels,
            ",le=\"",
            number(upper),
            "\"} ",
            number(count),
            ?\n
          ]

    [
      buckets,
      [metric.name, "_bucket{", labels, ",le=\"+Inf\"} ", number(times.count), ?\n],
      [metric.name, "_count{", labels, "} ", number(times.count), ?\n],
      [metric.name, "_sum{", labels, "} ", number(times.sum), ?\n]
    ]
  end

  defp sample(metric, [], value), do: [metric.name, suffix(metric.type), ?\s, number(value), ?\n]

  defp sample(metric, labels, value) do
    [
      metric.name,
      suffix(metric.type),
      ?{,
      labels(metric.labels, labels),
      "} ",
      number(value),
      ?\n
    ]
  end

  defp suffix(:counter), do: "_total"
  defp suffix(:info), do: "_info"
  defp suffix(_other), do: ""

  defp labels(names, values) do
    names
    |> Enum.zip(values)
    |> Enum.map(fn {name, value} ->
      [Atom.to_string(name), "=\"", escape(value, ["\\", "\n", "\""]), ?"]
    end)
    |> Enum.intersperse(?,)
  end

  # Most texts have nothing to escape. A pattern that is compiled for each of them took half of the time of a scrape.
  defp escape(text, characters) do
    if plain?(text), do: text, else: String.replace(text, characters, &escaped/1)
  end

  defp plain?(<<character, rest::binary>>) when character not in [?\\, ?\n, ?"], do: plain?(rest)
  defp plain?(rest), do: rest == <<>>

  defp escaped("\\"), do: "\\\\"
  defp escaped("\n"), do: "\\n"
  defp escaped("\""), do: "\\\""

  @doc false
  # To a microsecond, and never with an exponent: OpenMetrics wants the ends of buckets that way.
  @spec number(number()) :: String.t()
  def number(number) when is_integer(number), do: Integer.to_string(number)
  def number(number), do: :erlang.float_to_binary(number, [:compact, decimals: 6])
end
