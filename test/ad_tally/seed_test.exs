defmodule AdTally.SeedTest do
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Dedupe, FrequencyCap, Meter, Reach}

  @most 0xFFFF_FFFF_FFFF_FFFF

  @tables [
    {Counters, [metrics: [:n]]},
    {Reach, []},
    {FrequencyCap, [capacity: 1_000]},
    {Dedupe, [capacity: 1_000]}
  ]

  for {module, options} <- @tables do
    test "#{inspect(module)} takes a seed" do
      for seed <- [nil, 0, 1, @most],
          do: assert(is_reference(unquote(module).new([seed: seed] ++ unquote(options))))
    end

    test "#{inspect(module)} rejects what is no seed" do
      for seed <- [-1, @most + 1, 1.0, "4711", :a, <<-1::64>>] do
        error =
          assert_raise ArgumentError, fn ->
            unquote(module).new([seed: seed] ++ unquote(options))
          end

        assert error.message ==
                 "expected :seed to be an integer from 0 to 2^64 - 1, or nil for a random one, got: #{inspect(seed)}"
      end
    end
  end

  test "a meter takes a seed, and rejects what is none" do
    options = [name: __MODULE__.Meter, dimensions: [:d], metrics: [:n], dedupe: []]

    assert_raise ArgumentError, ~r/^expected :seed/, fn ->
      Meter.start_link([seed: -1] ++ options)
    end

    meter = start_supervised!({Meter, [seed: @most] ++ options})

    event = %AdTally.Event{
      id: {:a, 1},
      at: System.system_time(:millisecond),
      dimensions: {:x},
      metrics: [n: 1]
    }

    assert [:ok, :duplicate] = for(_ <- 1..2, do: Meter.record(__MODULE__.Meter, event))
    refute inspect(:sys.get_state(meter), limit: :infinity) =~ "#{@most}"
  end
end
