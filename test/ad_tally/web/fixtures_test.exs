defmodule AdTally.Web.FixturesTest do
  # What the page is written for, and tested with, is what a service answers: test/fixtures/web has an answer of each
  # path, and whoever changes one changes the other.
  use ExUnit.Case, async: false

  @moduletag :capture_log

  import AdTally.Test.Polling, only: [await: 1]

  alias AdTally.Test.{WebJSON, WebState}
  alias AdTally.Web

  @dir Path.expand("../../fixtures/web", __DIR__)

  @ads "AdTally.Test.WebState.Ads"
  @of for what <- ~w(applied lag_ms nothing), do: "meter:#{@ads}:#{what}"

  @requests %{
    "overview" => {200, "/api/overview", ""},
    "series" => {200, "/api/series", Enum.map_join(@of, "&", &"of=#{&1}")},
    "series_names" => {200, "/api/series", ""},
    "campaigns" => {200, "/api/campaigns", "meter=#{@ads}"},
    "campaign" => {200, "/api/campaign", "meter=#{@ads}&key=i42"},
    "attribution" => {200, "/api/attribution", "name=AdTally.Test.WebState.Attribution"},
    "health" => {200, "/api/health", ""},
    "error" => {404, "/api/campaigns", "meter=MyApp.Adz"}
  }

  setup do
    WebState.start(port: false)

    await(fn ->
      # Rates and curves need two samples.
      match?([%{"curve" => %{}}], answer("campaign")["pacers"]) and
        answer("overview")["meters"] |> hd() |> get_in(["rate", "applied"]) != nil
    end)
  end

  defp answer(name) do
    {status, path, query} = @requests[name]
    assert {^status, _headers, body} = Web.response("GET", path, query, [])
    WebJSON.decode!(body)
  end

  test "every fixture has the names and kinds of values of what is answered" do
    answers = Map.new(@requests, fn {name, _request} -> {name, answer(name)} end)

    files = @dir |> File.ls!() |> Enum.sort()
    assert files == answers |> Map.keys() |> Enum.map(&(&1 <> ".json")) |> Enum.sort()

    differences =
      for {name, answer} <- answers do
        fixture = @dir |> Path.join(name <> ".json") |> File.read!() |> WebJSON.decode!()
        {name, differences(shape(fixture), shape(answer), [])}
      end

    assert Enum.reject(differences, &match?({_name, []}, &1)) == []
  end

  ## What the values of an answer are

  # An integer beyond 2^53 is a string of digits.
  defp shape(nil), do: :unknown
  defp shape(value) when is_number(value), do: :number
  defp shape(value) when is_boolean(value), do: :boolean

  defp shape(value) when is_binary(value),
    do: if(value =~ ~r/\A-?\d{16,}\z/, do: :number, else: :string)

  defp shape(values) when is_list(values),
    do: {:list, values |> Enum.map(&shape/1) |> Enum.reduce(:unknown, &both/2)}

  defp shape(values) when is_map(values),
    do: Map.new(values, fn {name, value} -> {name, shape(value)} end)

  defp both(:unknown, other), do: other
  defp both(other, :unknown), do: other
  defp both({:list, one}, {:list, other}), do: {:list, both(one, other)}
  defp both(%{} = one, %{} = other), do: Map.merge(one, other, fn _name, a, b -> both(a, b) end)
  defp both(same, same), do: same

  # Whose names are those of a configuration: of models, metrics, nodes.
  @by_name ~w(by_model metrics excluded figures clock_offsets)

  defp differences(:unknown, _other, _at), do: []
  defp differences(_one, :unknown, _at), do: []
  defp differences({:list, one}, {:list, other}, at), do: differences(one, other, ["[]" | at])

  defp differences(%{} = one, %{} = other, [name | _] = at) when name in @by_name,
    do: differences(any(one), any(other), ["*" | at])

  defp differences(%{} = one, %{} = other, at) do
    names = Map.keys(one) ++ Map.keys(other)

    for name <- Enum.uniq(names),
        difference <-
          differences(Map.get(one, name, :missing), Map.get(other, name, :missing), [name | at]),
        do: difference
  end

  defp differences(same, same, _at), do: []

  defp differences(fixture, answer, at),
    do: [{at |> Enum.reverse() |> Enum.join("."), fixture: fixture, answer: answer}]

  defp any(map), do: map |> Map.values() |> Enum.reduce(:unknown, &both/2)
end
