defmodule AdTally.Test.FreshVM do
  @moduledoc """
  Calls functions in another VM, an operating system process of its own: one whose
  memory no other test has used, or whose standard error can be read.
  """

  @doc """
  Calls a function of a compiled module and returns its result.

  With `:stderr`, what the VM writes to its standard error goes to the file of that
  name, which takes a POSIX shell. `:args` and `:env` are more arguments and variables of
  its environment, as charlists.
  """
  def call(module, function, arguments, options \\ []) do
    vm = Map.merge(vm(), stderr(options[:stderr]))
    vm = Map.update!(vm, :args, &(&1 ++ Keyword.get(options, :args, [])))
    env = Keyword.get(options, :env, [])
    vm = Map.update(vm, :env, env, &(&1 ++ env))
    {:ok, peer, _node} = :peer.start_link(vm)

    try do
      {:ok, _} = :peer.call(peer, :application, :ensure_all_started, [:elixir])
      :peer.call(peer, module, function, arguments, :infinity)
    after
      :peer.stop(peer)
    end
  end

  # Without distribution: it needs no name, no cookie and no port.
  defp vm do
    paths =
      for application <- [:elixir, :logger, :ad_tally],
          do: Application.app_dir(application, "ebin")

    %{connection: :standard_io, args: Enum.flat_map(paths, &[~c"-pa", String.to_charlist(&1)])}
  end

  defp stderr(nil), do: %{}

  defp stderr(file) do
    erl = :os.find_executable(~c"erl")
    script = ~c"exec \"$0\" \"$@\" 2>\"$STDERR_FILE\""

    %{
      exec: {:os.find_executable(~c"sh"), [~c"-c", script, erl]},
      env: [{~c"STDERR_FILE", String.to_charlist(file)}]
    }
  end
end
