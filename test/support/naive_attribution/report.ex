defmodule AdTally.Test.NaiveAttribution.Report do
  @moduledoc """
  `AdTally.Attribution.report/2` over `AdTally.Test.NaiveAttribution`: every row of credits and every touch
  is looked at.
  """

  alias AdTally.Test.NaiveAttribution

  @doc """
  `{parts of conversions, value, touches, cost}` by the values of `:by`, or by `:unattributed`, but for
  groups of nothing. Options are right, and times are milliseconds.
  """
  def report(state, options) do
    options =
      Map.merge(
        %{
          by: state.config.dimensions,
          model: hd(state.config.models),
          dated_by: :conversion,
          from: 0,
          to: :infinity
        },
        Map.new(options)
      )

    (credits(state, options) ++ spend(state, options))
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> Map.new(fn {group, figures} -> {group, sum(figures)} end)
    |> Map.reject(fn {_group, figures} -> figures == {0, 0, 0, 0} end)
  end

  defp sum(figures) do
    Enum.reduce(figures, {0, 0, 0, 0}, fn {a, b, c, d}, {e, f, g, h} ->
      {a + e, b + f, c + g, d + h}
    end)
  end

  defp credits(state, options) do
    for row <- NaiveAttribution.rows(state) ++ NaiveAttribution.provisional_rows(state),
        {model, _order, action, kind, _touch, dimensions, touched_at, converted_at, adjusted_at,
         parts, value, _truncated, _revision} = row,
        model == options.model,
        at =
          if(options.dated_by == :touch,
            do: touched_at || converted_at,
            else: adjusted_at || converted_at
          ),
        asked?(state, options, at) do
      group =
        if kind,
          do: group(state, options, dimensions, kind, action),
          else: unattributed(options, action)

      {group, {parts, value, 0, 0}}
    end
  end

  # What is spent is spent for no action.
  defp spend(state, options) do
    for {{window, dimensions, kind}, {touches, cost}} <- NaiveAttribution.spend(state),
        :action not in options.by,
        asked?(state, options, window * state.config.window) do
      {group(state, options, dimensions, kind, nil), {0, 0, touches, cost}}
    end
  end

  # By the beginning of its window.
  defp asked?(state, options, at) do
    start = at - rem(at, state.config.window)
    # An atom is more than any number.
    options.from <= start and start < options.to
  end

  defp group(state, options, dimensions, kind, action) do
    values = state.config.dimensions |> Enum.zip(Tuple.to_list(dimensions)) |> Map.new()
    values = Map.merge(values, %{kind: kind, action: action})
    Enum.map(options.by, &Map.fetch!(values, &1))
  end

  defp unattributed(options, action),
    do: {:unattributed, if(:action in options.by, do: action)}
end
