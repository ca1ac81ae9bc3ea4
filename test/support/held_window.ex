defmodule AdTally.Test.HeldWindow do
  @moduledoc """
  What a window of an attribution keeps alive once the attribution is gone, for `AdTally.Test.FreshVM`.
  """

  alias AdTally.{Native, Steps}
  alias AdTally.Test.{NativeAttribution, ResidentMemory}

  import NativeAttribution, only: [at: 0, conversion: 1, touch: 1]

  @doc """
  Resident memory in bytes before there was an attribution of that many users, while it was there, and
  when only a closed window of it was; and the credits and touches of that window then.
  """
  def measure(users) do
    threads = ResidentMemory.threads()
    ResidentMemory.in_passing(fn -> closed(1_000) end)
    ResidentMemory.await_threads(threads)
    before = ResidentMemory.bytes()
    {window, full} = ResidentMemory.in_passing(fn -> closed(users) end)
    rest = ResidentMemory.least_bytes(before + div(full - before, 10))
    credits = window |> Native.attribution_window_credits() |> Steps.collect()
    {walk, []} = Native.attribution_window_touches(window)
    %{before: before, full: full, after: rest, credits: credits, touches: Steps.collect(walk)}
  end

  # A closed window, and the bytes before the attribution is dropped.
  defp closed(users) do
    window_and_bytes = close(users)
    :erlang.garbage_collect()
    window_and_bytes
  end

  defp close(users) do
    attribution = NativeAttribution.new(users: users)

    for user <- 1..users,
        do: :ok = Native.attribution_touch(attribution, touch(id: user, user: user))

    :ok = Native.attribution_convert(attribution, conversion(user: 1))

    {[{_begin, _end, _rows, window}], false} = Native.attribution_close_through(attribution, at())

    bytes = ResidentMemory.bytes()
    # Here, so that the attribution is alive until after the look.
    %{users: ^users} = Native.attribution_info(attribution)
    {window, bytes}
  end
end
