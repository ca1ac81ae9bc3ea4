defmodule AdTally.OwnProcess do
  @moduledoc false
  # Work in a process of its own, whose garbage goes with it.

  @doc "Calls a function in a process that ends with the caller, and returns or raises what it does."
  @spec call((... -> answer)) :: answer when answer: term()
  def call(fun) do
    {caller, tag} = {self(), make_ref()}

    run = fn ->
      answer =
        try do
          {:ok, fun.()}
        catch
          kind, reason -> {kind, reason, __STACKTRACE__}
        end

      # A caller that traps exits gets no message of its end.
      Process.unlink(caller)
      send(caller, {tag, answer})
    end

    {_pid, monitor} = :erlang.spawn_opt(run, [:link, :monitor])

    receive do
      {^tag, {:ok, rows}} ->
        Process.demonitor(monitor, [:flush])
        rows

      {^tag, {kind, reason, stacktrace}} ->
        Process.demonitor(monitor, [:flush])
        :erlang.raise(kind, reason, stacktrace)

      {:DOWN, ^monitor, :process, _pid, reason} ->
        exit(reason)
    end
  end
end
