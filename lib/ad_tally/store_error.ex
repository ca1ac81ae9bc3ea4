defmodule AdTally.StoreError do
  @moduledoc """
  Says why a store could not be opened, a table not be read from it, or a question not be answered.

    * `:kind` - `:locked`, another process or another VM has the directory; `:corrupt`, a file is damaged;
      `:version`, the files are of a later version of AdTally; `:config`, a table cannot go on with what is stored
      of it; `:running`, another process has the table; `:stopped`, the store was stopped; `:io`, the operating
      system refused something; `:busy`, the store has no room: `AdTally.Dedupe.first?/3` counts nothing then
    * `:reason` - which file, what is wrong, and what can be done
  """
  defexception [:kind, :reason]

  @type t :: %__MODULE__{
          kind: :locked | :corrupt | :version | :config | :running | :stopped | :io | :busy,
          reason: String.t()
        }

  @impl true
  def message(%{reason: reason}), do: reason
end
