defmodule AdTally.NotLoadedError do
  @moduledoc """
  Raised by the first call that needs the native library when it could not be loaded.

    * `:path` - the file that was tried
    * `:reason` - why it was refused, in the words of the Erlang runtime
  """
  defexception [:path, :reason]

  @type t :: %__MODULE__{path: String.t(), reason: String.t()}

  @impl true
  def message(%{path: path, reason: reason}) do
    """
    the native library of AdTally could not be loaded.

      file:   #{path}
      reason: #{reason}

    The file is put there when AdTally is compiled: by `mix compile`, or in a project that \
    depends on AdTally by `mix deps.compile ad_tally --force`. If it is there, it was built for \
    another system or another version of AdTally: delete it first. A release carries the \
    library of the machine that the release was built on.\
    """
  end
end
