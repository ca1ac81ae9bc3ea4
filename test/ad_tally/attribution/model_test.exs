defmodule AdTally.Attribution.ModelTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Attributions

  alias AdTally.Test.{AttributionOperations, NaiveAttribution}

  setup context do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    [{:seed, seed} | own_name(context)]
  end

  for number <- 1..24 do
    test "attribution #{number} does what a naive one does", %{name: name, seed: seed} do
      compare(name, seed, 500)
    end
  end

  @tag :exhaustive
  @tag timeout: 600_000
  test "attributions do what naive ones do, for minutes", %{name: name, seed: seed} do
    for number <- 1..100, do: compare(:"#{name}.#{number}", seed, 2_000)
  end

  defp compare(name, seed, operations) do
    options = AttributionOperations.options()
    told = "seed #{seed}, #{inspect(options)}"
    start(name, options)
    {naive, outcomes} = AttributionOperations.run(name, options, operations, told)
    stop_supervised!(name)
    naive = NaiveAttribution.close(naive)

    windows = delivered()

    assert Enum.map(windows, fn {window, _, _} -> window.sequence end) ==
             Enum.to_list(1..length(windows)),
           told

    # A window that was closed does not come again.
    starts = Enum.map(windows, fn {window, _, _} -> window.start end)
    assert starts == starts |> Enum.uniq() |> Enum.sort(), told

    rows =
      for {window, credits, _touches} <- windows, credits != [], into: %{} do
        {div(window.start, 60_000), AttributionOperations.canonical(credits)}
      end

    expected =
      Map.new(NaiveAttribution.rows_by_window(naive), fn {window, rows} ->
        {window, AttributionOperations.canonical(rows)}
      end)

    assert Map.reject(rows, &match?({_window, []}, &1)) ==
             Map.reject(expected, &match?({_window, []}, &1)),
           told

    spend =
      for {window, _credits, touches} <- windows,
          {dimensions, kind, count, cost} <- touches,
          into: %{},
          do: {{div(window.start, 60_000), dimensions, kind}, {count, cost}}

    assert spend == NaiveAttribution.spend(naive), told
    # Otherwise hardly anything was compared.
    for outcome <- [touch: :ok, touch: :duplicate, convert: :ok, convert: :duplicate, adjust: :ok],
        do: assert(outcomes[outcome] > 0, told)
  end
end
