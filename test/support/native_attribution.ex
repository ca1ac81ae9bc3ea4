defmodule AdTally.Test.NativeAttribution do
  @moduledoc """
  Attributions without their processes, for tests of the boundary.
  """

  alias AdTally.{Conversion, Native, Touch}

  @at 1_780_272_000_000

  @doc "A time in the middle of nowhere."
  @spec at() :: pos_integer()
  def at, do: @at

  @doc "An attribution of two dimensions, of clicks and views, and of purchases, signups and installs."
  @spec new(keyword()) :: reference()
  def new(options \\ []) do
    max_ahead = Keyword.get(options, :max_ahead)
    dimensions = Keyword.get(options, :dimensions, 2)
    kinds = [click: 604_800_000, view: 86_400_000]
    actions = [purchase: :every, signup: :once_per_user, install: :once_per_touch]
    models = Keyword.get(options, :models, [:last_touch, :linear])
    users = Keyword.get(options, :users, 100_000)
    max_keys = Keyword.get(options, :max_keys, 1_000)

    Native.attribution_new(
      {60_000, Keyword.get(options, :lateness, 300_000), max_ahead},
      {dimensions, kinds, actions, models},
      {Keyword.get(options, :prevail, true), false, 16, users, 1_000, 2_592_000_000, max_keys},
      7
    )
  end

  @doc "A click, unless something else is said."
  @spec touch(keyword()) :: Touch.t()
  def touch(fields \\ []) do
    touch = %Touch{id: 1, user: "ann", at: @at, kind: :click, dimensions: {42, "x"}}
    struct!(%{touch | cost_micros: 1_250}, fields)
  end

  @doc "A purchase, unless something else is said."
  @spec conversion(keyword()) :: Conversion.t()
  def conversion(fields \\ []) do
    conversion = %Conversion{order: "o-9", user: "ann", at: @at + 1_000, action: :purchase}
    struct!(%{conversion | value_micros: 59_990_000}, fields)
  end
end
