defmodule AdTally.Guides.PacingTest do
  # Names of processes and modules are the guide's.
  use ExUnit.Case

  alias AdTally.{FrequencyCap, Pacer}
  alias AdTally.Test.Stores

  @moduletag :capture_log

  defmodule Elsewhere do
    @moduledoc false
    # What a reader's service has and the guide does not show.
    def code do
      quote do
        defmodule MyApp.Alerts do
          def send(text), do: Kernel.send(AdTally.Guides.PacingTest, {:alert, text})
        end
      end
    end
  end

  setup_all do
    snippets =
      for [snippet] <-
            Regex.scan(~r/```elixir\n(.*?)```/s, File.read!("guides/pacing.md"),
              capture: :all_but_first
            ),
          do: snippet

    names = [:children, :budget, :serving, :served, :nodes, :flight, :edit, :alerts, :simulated]
    assert length(snippets) == length(names)
    Code.eval_quoted(Elsewhere.code())
    {:ok, Enum.zip(names, snippets)}
  end

  test "the code of the guide serves ads, is billed, and changes budgets", snippets do
    Process.register(self(), __MODULE__)
    dir = Stores.dir()
    children = String.replace(snippets.children, ~s("/var/lib/my_app/ads"), ~s("#{dir}"))
    {_result, binding} = Code.eval_string(children)
    Code.eval_string(snippets.budget)
    Code.eval_string(snippets.serving)
    {answers, _binding} = Code.eval_string(snippets.served)
    serving = MyApp.Serving

    # 42 takes part in some requests, and 43 has no budget yet.
    served = for {:ok, 42, reservation} <- answers, do: reservation
    assert length(answers) == 500
    assert Enum.all?(answers, &(match?({:ok, 42, _reservation}, &1) or &1 == :no_ad))
    assert length(served) in 1..499
    assert Pacer.status(MyApp.Pacer, 42).reserved_micros == 2_500 * length(served)

    # An answer is the same when it is asked for again, and of the cap too.
    rules = FrequencyCap.rules!([{1, :timer.hours(1)}])
    request = Enum.find_index(answers, &(&1 != :no_ad)) + 1
    {:ok, 42, first} = Enum.at(answers, request - 1)
    again = [{"page", request}, "user-#{request}", [{42, rules}]]

    assert AdTally.Admission.admit(
             {MyApp.Caps, MyApp.Pacer},
             42,
             "user-#{request}",
             rules,
             {"page", request},
             2_500,
             System.system_time(:millisecond),
             ttl: 600_000
           ) == {:ok, first}

    # Of choosing again the cap is what answers.
    assert apply(serving, :choose, again) == :no_ad

    assert apply(serving, :billed, [first, 1_240]) == :ok
    assert apply(serving, :billed, [first, 1_240]) == :ok
    assert apply(serving, :billed, ["no reservation", 1_240]) == {:refuse, :not_ours}
    status = Pacer.status(MyApp.Pacer, 42)
    assert {status.spent_micros, status.overspent_micros} == {1_240, 0}
    assert status.reserved_micros == 2_500 * (length(served) - 1)

    for reservation <- tl(served),
        do: assert(apply(serving, :lost_auction, [reservation]) == :ok)

    assert Pacer.status(MyApp.Pacer, 42).reserved_micros == 0

    # A flight with a budget for 30 days, and a day that is cut by a quarter.
    Code.eval_string(snippets.flight)
    assert %{total_budget_micros: 900_000_000} = flight = Pacer.status(MyApp.Pacer, 43)
    assert flight.most_micros < 100_000_000
    Code.eval_string(snippets.edit)
    assert %{budget_micros: 37_500_000, spent_micros: 1_240} = Pacer.status(MyApp.Pacer, 42)
    :ok = Supervisor.stop(binding[:supervisor])
  end

  test "the children of the guide for several nodes can be started on one of them", snippets do
    dir = Stores.dir()

    code =
      snippets.nodes
      |> String.replace(~s("/var/lib/my_app/ads"), ~s("#{dir}"))
      |> String.replace(~s(:"ads@10.0.0.1"), inspect(node()))

    {children, _binding} = Code.eval_string(code)
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    assert %{campaigns: 0, coordinated: 0} = Pacer.info(MyApp.Pacer)
    :ok = Supervisor.stop(supervisor)
  end

  test "the guide's alert tells what was overspent", snippets do
    Process.register(self(), __MODULE__)
    Code.eval_string(snippets.alerts)
    alerts = MyApp.BudgetAlerts
    event = [:ad_tally, :pacer, :tick]
    # A sum over all periods alone is no alert at each tick.
    for {late, over_price} <- [{0, 0}, {1, 2}] do
      tick = %{late: late, over_price: over_price, overspent_micros: 7}
      apply(alerts, :handle, [event, tick, %{pacer: MyApp.Pacer}, nil])
    end

    assert_received {:alert, "MyApp.Pacer: 1 confirms came too late and 2 were above" <> rest}
    assert rest =~ "7 micros"
    refute_received {:alert, _text}
  end

  test "the guide's simulation spends the budget of its day, and no more", snippets do
    {status, _binding} = Code.eval_string(snippets.simulated)
    assert status.spent_micros in 970_000..1_000_000
    assert status.overspent_micros == 0
    # New York's day: from 4:00 UTC to 4:00 UTC.
    assert DateTime.from_unix!(status.from, :millisecond) == ~U[2026-06-01 04:00:00.000Z]
    assert DateTime.from_unix!(status.to, :millisecond) == ~U[2026-06-02 04:00:00.000Z]
    GenServer.stop(MyApp.TestPacer)
  end
end
