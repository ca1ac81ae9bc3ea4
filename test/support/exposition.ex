defmodule AdTally.Test.Exposition do
  @moduledoc false
  # Reads text 0.0.4 of Prometheus and OpenMetrics 1.0, and raises for what their grammars do not allow: families
  # whose lines are not together, names, escapes, types, ends of names, samples that are there twice.

  @name "[a-zA-Z_:][a-zA-Z0-9_:]*"
  @label "[a-zA-Z_][a-zA-Z0-9_]*"
  # Only these three are escaped.
  @value ~S{"(?:[^"\\\n]|\\["\\n])*"}
  @number ~S{(?:-?\d+(?:\.\d+)?(?:e-?\d+)?|[+-]Inf|NaN)}

  @type family :: %{
          type: String.t(),
          help: String.t(),
          unit: String.t() | nil,
          samples: [{name :: String.t(), labels :: %{String.t() => String.t()}, number()}]
        }

  @doc "The families by their names, as the text has them."
  @spec read!(iodata(), :prometheus | :openmetrics) :: %{String.t() => family()}
  def read!(text, format) do
    text = IO.iodata_to_binary(text)
    true = String.valid?(text)
    true = text == "" or String.ends_with?(text, "\n")
    lines = text |> String.split("\n") |> List.delete_at(-1)

    {lines, ["# EOF"]} =
      if format == :openmetrics, do: Enum.split(lines, -1), else: {lines, ["# EOF"]}

    {families, _current} =
      lines |> Enum.map(&line!/1) |> Enum.reduce({%{}, nil}, &add!(&1, &2, format))

    for {name, family} <- families, do: check!(name, family, format)
    families
  end

  @doc "The value of a sample with these labels, `nil` if there is none."
  @spec value(map(), String.t(), keyword()) :: number() | nil
  def value(families, name, labels) do
    labels = Map.new(labels, fn {label, value} -> {Atom.to_string(label), value} end)

    Enum.find_value(families, fn {_name, family} ->
      Enum.find_value(family.samples, fn sample ->
        if match?({^name, ^labels, _value}, sample), do: elem(sample, 2)
      end)
    end)
  end

  defp line!("# " <> rest = line) do
    case Regex.run(~r/\A(HELP|TYPE|UNIT) (#{@name}) (.*)\z/, rest) do
      [_all, what, name, text] -> {what, name, text}
      nil -> raise "not a line of a family: #{line}"
    end
  end

  defp line!(line) do
    labels = "#{@label}=#{@value}(?:,#{@label}=#{@value})*"

    case Regex.run(~r/\A(#{@name})(?:\{(#{labels})\})? (#{@number})\z/, line) do
      [_all, name, labels, number] -> {:sample, name, labels!(labels), number!(number)}
      nil -> raise "not a sample: #{line}"
    end
  end

  defp labels!(text) do
    pairs =
      for [_all, label, value] <- Regex.scan(~r/(#{@label})=(#{@value})/, text),
          do: {label, value |> String.slice(1..-2//1) |> unescape()}

    labels = Map.new(pairs)
    true = map_size(labels) == length(pairs)
    labels
  end

  defp unescape(text) do
    Regex.replace(~r/\\(.)/, text, fn
      _all, "n" -> "\n"
      _all, other -> other
    end)
  end

  defp number!("+Inf"), do: :infinity

  defp number!(text) do
    case Integer.parse(text) do
      {number, ""} -> number
      _float -> String.to_float(text)
    end
  end

  # Lines of a family come one after the other, and none of it comes again.
  defp add!({:sample, name, labels, value}, {families, current}, _format) do
    true = current != nil and String.starts_with?(name, current)
    {update_in(families[current].samples, &[{name, labels, value} | &1]), current}
  end

  defp add!({what, name, text}, {families, current}, _format) do
    families =
      if name == current do
        families
      else
        false = is_map_key(families, name)
        Map.put(families, name, %{type: nil, help: nil, unit: nil, samples: []})
      end

    [] = families[name].samples
    key = %{"HELP" => :help, "TYPE" => :type, "UNIT" => :unit}[what]
    nil = families[name][key]
    {put_in(families[name][key], text), name}
  end

  defp check!(name, %{type: type, help: help, samples: samples} = family, format) do
    true = help not in [nil, ""] and samples != []

    true =
      type in [
        "counter",
        "gauge",
        "histogram" | if(format == :openmetrics, do: ["info"], else: [])
      ]

    keys = for {name, labels, _value} <- samples, do: {name, labels}
    true = keys == Enum.uniq(keys)
    ends = ends(type, format)

    for {sample, _labels, value} <- samples do
      true = sample in Enum.map(ends, &(name <> &1))
      true = type != "counter" or value >= 0
    end

    if format == :prometheus do
      nil = family.unit
      true = type == "counter" == String.ends_with?(name, "_total")
    else
      true = family.unit == nil or String.ends_with?(name, "_" <> family.unit)
      false = String.ends_with?(name, "_total")
    end

    if type == "histogram", do: histogram!(name, samples)
  end

  defp ends("counter", :openmetrics), do: ["_total"]
  defp ends("info", :openmetrics), do: ["_info"]
  defp ends("histogram", _format), do: ["_bucket", "_count", "_sum"]
  defp ends(_type, _format), do: [""]

  # Buckets rise with their ends, and the last one has all.
  defp histogram!(name, samples) do
    samples = Enum.group_by(samples, fn {_name, labels, _value} -> Map.delete(labels, "le") end)

    for {labels, samples} <- samples do
      buckets =
        for {sample, labels, count} <- Enum.reverse(samples),
            sample == name <> "_bucket",
            do: {labels["le"], count}

      {upper, [{"+Inf", all}]} = Enum.split(buckets, -1)
      uppers = for {upper, _count} <- upper, do: String.to_float(upper)
      counts = for {_upper, count} <- buckets, do: count
      true = uppers == Enum.sort(uppers) and counts == Enum.sort(counts)
      true = {name <> "_count", labels, all} in samples
      true = Enum.any?(samples, &match?({_name, ^labels, sum} when sum >= 0, &1))
    end
  end
end
