defmodule AdTally.FrequencyCap.NodesTest do
  # The test's VM becomes a node for as long as this takes, and names of modules are the guide's.
  use ExUnit.Case

  alias AdTally.FrequencyCap
  alias AdTally.Test.Nodes

  test "the code of the guide asks the owner of a user on another node" do
    Nodes.with_peer(fn here, there ->
      for node <- [here, there],
          do: :ok = Nodes.start_caps(node, name: MyApp.Caps, capacity: 10_000)

      Code.eval_string(snippet())
      # Elixir looks for functions of a module that is named.
      ads = Module.concat(MyApp, Ads)
      rules = [{1, :timer.minutes(30)}, {3, :timer.hours(24)}]
      candidates = for ad <- 1..3, do: {{:ad, ad}, rules}

      for number <- 1..100, user = "user-#{number}" do
        assert ads.admissible(candidates, user) == [ad: 1, ad: 2, ad: 3]
        assert ads.admit({:ad, 2}, user, rules) == :ok
        assert ads.admit({:ad, 2}, user, rules) == {:capped, {1, 1_800_000}}
        assert ads.admissible(candidates, user) == [ad: 1, ad: 3]
      end

      # Each pair is on one of the two, and both have some.
      [some, others] =
        for node <- [here, there], do: :erpc.call(node, FrequencyCap, :info, [MyApp.Caps]).pairs

      assert (some + others) in 99..100
      assert some > 0 and others > 0

      # What was compiled here says there what to send instead.
      arguments = [MyApp.Caps, {:ad, 1}, "ann", FrequencyCap.rules!(rules)]

      assert {:exception, %ArgumentError{message: message}, _stacktrace} =
               catch_error(:erpc.call(there, FrequencyCap, :admit, arguments))

      assert message =~ "rules!/1 has compiled on this node, or a list of {max, window}"
    end)
  end

  defp snippet do
    guide = File.read!("guides/frequency_caps.md")

    [snippet] =
      Regex.run(~r/```elixir\n(defmodule MyApp.Ads.*?)```/s, guide, capture: :all_but_first)

    snippet
  end
end
