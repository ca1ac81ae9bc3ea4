defmodule AdTally.Native.NativeRecordsTest do
  # Terms of a type that is younger than the interface that the library is written to: the
  # native records of OTP 29. Asking the VM for the type of one would end the VM.
  use ExUnit.Case, async: true

  alias AdTally.{Meter, Native}
  alias AdTally.Test.ArgumentPositions

  otp_release = System.otp_release() |> String.to_integer()
  if otp_release < 29, do: @moduletag(skip: "native records came with OTP 29")

  # Erlang's, because Elixir has no syntax for them.
  @source ~c"""
  -module(ad_tally_native_record).
  -export([new/1]).
  -record #point{x, y = 0}.
  new(X) -> #point{x = X}.
  """

  setup_all do
    forms = forms(@source, 1)
    {:ok, module, binary} = :compile.forms(forms, [:return_errors])
    {:module, ^module} = :code.load_binary(module, ~c"nofile", binary)
    %{record: module.new(1)}
  end

  setup %{test: test} do
    start_supervised!({Meter, name: test, dimensions: [:a], metrics: [:n], clock: :events})
    :ok
  end

  test "a native record is refused wherever an argument is taken", %{record: record, test: name} do
    for {call, function} <- ArgumentPositions.calls(name),
        term <- [record, {record}, {1, record}, [record], %{key: record}],
        call not in [:shown] do
      try do
        function.(term)
      rescue
        error in ArgumentError -> assert byte_size(error.message) < 1_000, "#{call}"
      end
    end
  end

  test "a native record is named in a message", %{record: record} do
    assert Native.shown(record) == "a term of a type that this library does not know"
    assert Native.shown({1, record}) == "{1, a term of a type that this library does not know}"
  end

  defp forms(source, line) do
    case :erl_scan.tokens([], source, line) do
      {:done, {:ok, tokens, line}, rest} ->
        {:ok, form} = :erl_parse.parse_form(tokens)
        [form | forms(rest, line)]

      {:more, _continuation} ->
        []

      {:done, {:eof, _line}, _rest} ->
        []
    end
  end
end
