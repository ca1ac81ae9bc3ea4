defmodule AdTally.Web.Ring do
  @moduledoc false
  # Samples of one number: 120 of a second, and 1,440 of a minute, in native memory that anybody reads without a
  # message.
  #
  # A ring has values as they were, and totals too: their rates are made when they are read. When samples were taken
  # is in a ring of its own, for all of them, so that a sample that came late does not look like more traffic.
  #
  #     place in the ring = period mod size; a place is of the period that its time is of, otherwise it is empty

  @seconds 120
  @minutes 1_440

  # Of a number that is not known. No total gets there.
  @none -0x8000_0000_0000_0000
  @most 0x7FFF_FFFF_FFFF_FFFF

  @type t :: :atomics.atomics_ref()
  @type step :: 1 | 60

  @doc "One without any samples: twelve kilobytes."
  @spec new() :: t()
  def new do
    ring = :atomics.new(@seconds + @minutes, signed: true)
    for place <- 1..(@seconds + @minutes), do: :atomics.put(ring, place, @none)
    ring
  end

  @doc "How many samples are kept of which step, in seconds."
  @spec sizes() :: %{step() => pos_integer()}
  def sizes, do: %{1 => @seconds, 60 => @minutes}

  @spec put(t(), step(), period :: integer(), integer() | nil) :: :ok
  def put(ring, step, period, value),
    do: :atomics.put(ring, place(step, period), stored(value))

  defp stored(nil), do: @none
  defp stored(value), do: value |> max(@none + 1) |> min(@most)

  @spec get(t(), step(), period :: integer()) :: integer() | nil
  def get(ring, step, period) do
    case :atomics.get(ring, place(step, period)) do
      @none -> nil
      value -> value
    end
  end

  defp place(1, period), do: Integer.mod(period, @seconds) + 1
  defp place(60, period), do: @seconds + Integer.mod(period, @minutes) + 1

  @doc "Values by period, from the first to the last one. `times` are the times of samples, in milliseconds."
  @spec values(t(), times :: t(), step(), Range.t()) :: [integer() | nil]
  def values(ring, times, step, periods) do
    for period <- periods do
      if time(times, step, period), do: get(ring, step, period)
    end
  end

  @doc "The same of a total, by second: what has come since the sample before."
  @spec rates(t(), times :: t(), step(), Range.t()) :: [float() | nil]
  def rates(ring, times, step, periods) do
    for period <- periods do
      with time when time != nil <- time(times, step, period),
           before when before != nil and before < time <- time(times, step, period - 1),
           value when value != nil <- get(ring, step, period),
           less when less != nil and less <= value <- get(ring, step, period - 1) do
        Float.round((value - less) * 1_000 / (time - before), 3)
      else
        _unknown -> nil
      end
    end
  end

  @doc "The rate of a total between the first and the last sample of some seconds."
  @spec rate(t(), times :: t(), Range.t()) :: float() | nil
  def rate(ring, times, periods) do
    samples =
      for period <- periods,
          time = time(times, 1, period),
          value = get(ring, 1, period),
          do: {time, value}

    with [{before, less} | _] <- samples,
         {time, value} when time > before and value >= less <- List.last(samples),
         do: Float.round((value - less) * 1_000 / (time - before), 3),
         else: (_too_few -> nil)
  end

  # A ring that went round has later samples in the place of those of before.
  defp time(times, step, period) do
    time = get(times, step, period)
    if time != nil and Integer.floor_div(time, step * 1_000) == period, do: time
  end
end
