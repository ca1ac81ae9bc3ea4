defmodule AdTally.Windows.Sinks do
  @moduledoc false
  # The sinks of an option, checked at the start: a wrong one is an error then, and not a window that is
  # delivered again for ever. Options of sinks may hold credentials and are not shown.

  alias AdTally.Options

  @doc "The sinks with their options as `c:AdTally.Sink.validate/1` returns them."
  @spec new!(term()) :: [{module(), keyword()}]
  def new!(sinks) when is_list(sinks) do
    sinks = Enum.map(sinks, &validated!/1)

    with [{module, _options} | _] <- sinks -- Enum.uniq_by(sinks, &target/1) do
      raise ArgumentError,
            "expected :sinks to be different ones, and #{inspect(module)} is there twice with the same options or target"
    end

    sinks
  end

  def new!(other), do: refuse!(other)

  defp target({module, options}) do
    if function_exported?(module, :target, 1),
      do: {module, module.target(options)},
      else: {module, options}
  end

  @doc "Each with the name that metrics have of it: of its module, and of those that share one a number from 2 on."
  @spec named([{module(), keyword()}]) :: [{String.t(), {module(), keyword()}}]
  def named(sinks) do
    {named, _counts} =
      Enum.map_reduce(sinks, %{}, fn {module, _options} = sink, counts ->
        count = Map.get(counts, module, 0) + 1
        name = if count == 1, do: inspect(module), else: "#{inspect(module)} #{count}"
        {{name, sink}, Map.put(counts, module, count)}
      end)

    named
  end

  @doc "Raises `ArgumentError` if the options of a sink have a name that is not among the names in rows."
  @spec check_names!([{module(), keyword()}], AdTally.Sink.names()) :: :ok
  def check_names!(sinks, names) do
    for {module, options} <- sinks, function_exported?(module, :validate_names, 2) do
      with {:error, message} <- module.validate_names(options, names), do: wrong!(module, message)
    end

    :ok
  end

  @doc "The names that sinks reserve, each with its sink."
  @spec reserved_names([{module(), keyword()}]) :: [{atom(), module()}]
  def reserved_names(sinks) do
    for {module, options} <- sinks,
        function_exported?(module, :reserved_names, 1),
        name <- module.reserved_names(options),
        do: {name, module}
  end

  defp validated!({module, options} = sink) when is_atom(module) do
    unless Keyword.keyword?(options) and Code.ensure_loaded?(module) and
             function_exported?(module, :deliver, 2),
           do: refuse!(sink)

    if function_exported?(module, :validate, 1),
      do: {module, validate!(module, options)},
      else: sink
  end

  defp validated!(other), do: refuse!(other)

  defp validate!(module, options) do
    case module.validate(options) do
      {:ok, options} ->
        options

      {:error, message} when is_binary(message) ->
        wrong!(module, message)

      other ->
        raise ArgumentError,
              "expected #{inspect(module)}.validate/1 to return {:ok, options} or {:error, message}, " <>
                "got: #{Options.shown(other)}"
    end
  end

  defp wrong!(module, message) do
    raise ArgumentError, "the options of #{inspect(module)} in :sinks are wrong: #{message}"
  end

  defp refuse!(sink) do
    shown =
      case sink do
        {module, _options} when is_atom(module) -> "{#{inspect(module)}, ...}"
        other -> Options.shown(other)
      end

    raise ArgumentError,
          "expected :sinks to be a list of {module, options} whose module has deliver/2 and whose " <>
            "options are a keyword list, got: #{shown}"
  end
end
