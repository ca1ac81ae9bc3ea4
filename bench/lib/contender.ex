defmodule AdTally.Bench.Contender do
  @moduledoc """
  One way of doing what a group compares.

  A pass calls `fun` with each of `inputs`, `repeats` times over, in each of
  `processes` processes. All contenders run through the same loop, see
  `AdTally.Bench.Pass`, so they differ by what `fun` does and by nothing else.

  Where inputs are too large to be read from memory as they are, `make` makes what `fun` is
  called with of something smaller. That is part of the loop, and taken off with it.
  """

  alias AdTally.Bench.{Inputs, WrongResultError}

  @enforce_keys [:label, :inputs, :input_count, :fun, :passes]
  defstruct @enforce_keys ++
              [
                operations_per_input: 1,
                repeats: 1,
                processes: 1,
                make: nil,
                prepare: nil,
                summary: nil,
                expected_summary: nil,
                check: nil,
                yardsticks: [],
                scaling_of: nil
              ]

  @type t :: %__MODULE__{
          label: String.t(),
          inputs: Inputs.t(),
          input_count: pos_integer(),
          fun: (term() -> term()),
          passes: :counters.counters_ref(),
          operations_per_input: pos_integer(),
          repeats: pos_integer(),
          processes: pos_integer(),
          # makes what `fun` is called with of an input
          make: (term() -> term()) | nil,
          # done before every pass, untimed
          prepare: (... -> term()) | nil,
          # makes something comparable of the last result of a pass, untimed
          summary: (term() -> term()) | nil,
          expected_summary: term(),
          # what the passes so far should have counted, and what they have
          check: (passes :: non_neg_integer() -> {expected :: term(), counted :: term()}) | nil,
          # labels whose time its own is divided by
          yardsticks: [String.t()],
          # label whose operations a second its own are divided by
          scaling_of: String.t() | nil
        }

  @doc "A contender; `options` are the other fields."
  @spec new(String.t(), [term(), ...], (term() -> term()), keyword()) :: t()
  def new(label, inputs, fun, options \\ []) do
    struct!(
      %__MODULE__{
        label: label,
        inputs: Inputs.keep(inputs, Keyword.get(options, :processes, 1)),
        input_count: length(inputs),
        fun: making(fun, options[:make]),
        passes: :counters.new(1, [])
      },
      options
    )
  end

  defp making(fun, nil), do: fun
  defp making(fun, make), do: fn input -> fun.(make.(input)) end

  @doc "Operations that all processes of a pass do together."
  @spec operations(t()) :: pos_integer()
  def operations(contender) do
    contender.input_count * contender.operations_per_input * contender.repeats *
      contender.processes
  end

  @doc """
  The same loop around nothing. Its label is the same for all contenders that
  loop alike.
  """
  @spec empty_loop(t()) :: t()
  def empty_loop(contender) do
    shape = {contender.repeats, contender.processes, contender.operations_per_input}
    mark = :erlang.phash2({shape, contender.inputs, contender.make})

    %__MODULE__{
      label: "empty loop #{mark}",
      inputs: contender.inputs,
      input_count: contender.input_count,
      operations_per_input: contender.operations_per_input,
      repeats: contender.repeats,
      processes: contender.processes,
      fun: making(fn _input -> :ok end, contender.make),
      passes: :counters.new(1, [])
    }
  end

  @doc "Raises if the passes so far have not counted what they should have."
  @spec check!(t()) :: :ok
  def check!(%{check: nil}), do: :ok

  def check!(contender) do
    {expected, counted} = contender.passes |> :counters.get(1) |> contender.check.()
    WrongResultError.equal!(contender.label, expected, counted)
  end

  @doc "Raises if the last result of a pass is not what was expected."
  @spec check_summary!(t(), term()) :: :ok
  def check_summary!(contender, summary),
    do: WrongResultError.equal!(contender.label, contender.expected_summary, summary)
end
