defmodule Mix.Tasks.AdTally.Store do
  @shortdoc "Checks the directory of an AdTally.Store, and copies it"

  @moduledoc """
  Checks every byte of a directory that an `AdTally.Store` has written, and prints what is there.

      mix ad_tally.store DIR
      mix ad_tally.store DIR --backup TO

  With `--backup` the directory is copied to `TO`, which must be empty or not there, and the copy is checked. The
  store may be in use in both cases. See the guide [Durability](durability.html).

  If a file is damaged, it says which one, where, and what can be done, and exits with 1.
  """

  use Mix.Task

  alias AdTally.Store
  alias AdTally.Store.{Described, Server}

  @usage "Usage: mix ad_tally.store DIR [--backup TO]"

  @impl true
  def run(arguments) do
    # Its own code, and nothing of the project.
    Mix.Task.run("loadpaths")

    case OptionParser.parse(arguments, strict: [backup: :string]) do
      {[], [dir], []} -> describe(dir)
      {[backup: to], [dir], []} -> backup(dir, to)
      _other -> Mix.raise(@usage)
    end
  end

  defp describe(dir) do
    case Store.describe(dir) do
      {:ok, described} ->
        described |> Described.lines(dir) |> Enum.each(&Mix.shell().info(&1))
        if described.damages != [], do: Mix.raise("#{dir} is damaged, see above")

      {:error, error} ->
        Mix.raise(Exception.message(error))
    end
  end

  defp backup(dir, to) do
    case Store.backup(dir, to) do
      {:ok, %{bytes: bytes}} ->
        Mix.shell().info("#{dir} is copied to #{to}: #{Server.size(bytes)}, every byte checked")

        describe(to)

      {:error, error} ->
        Mix.raise(Exception.message(error))
    end
  end
end
