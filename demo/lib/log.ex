defmodule AdTally.Demo.Log do
  @moduledoc """
  The impressions of demo/data, as small maps in order of time.
  """

  @type impression :: %{
          at: non_neg_integer(),
          policy: String.t(),
          campaign: String.t(),
          item: integer(),
          position: integer(),
          clicked?: boolean(),
          segment: String.t()
        }

  @spec impressions(Path.t()) :: [impression()]
  def impressions(path \\ default_path()) do
    path
    |> File.stream!([:compressed])
    |> Stream.drop(1)
    |> Enum.map(&parse/1)
  end

  @spec default_path() :: Path.t()
  def default_path, do: Path.expand("../data/open_bandit_60k.csv.gz", __DIR__)

  defp parse(line) do
    [at, policy, campaign, item, position, click, segment] =
      line |> String.trim_trailing() |> String.split(",")

    %{
      at: String.to_integer(at),
      policy: policy,
      campaign: campaign,
      item: String.to_integer(item),
      position: String.to_integer(position),
      clicked?: click == "1",
      segment: segment
    }
  end
end
