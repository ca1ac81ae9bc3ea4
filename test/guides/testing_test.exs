defmodule AdTally.Guides.TestingTest do
  use ExUnit.Case, async: true

  @moduletag :tmp_dir

  setup_all do
    [example, caps] =
      for [snippet] <-
            Regex.scan(~r/```elixir\n(.*?)```/s, File.read!("guides/testing.md"),
              capture: :all_but_first
            ),
          do: snippet

    {:ok, example: example, caps: caps}
  end

  # In a VM of its own, because this one's ExUnit takes no more test modules.
  test "the guide's example of a test passes", %{example: example, tmp_dir: dir} do
    file = Path.join(dir, "example_test.exs")
    File.write!(file, ["ExUnit.start()\n", example])
    library = Application.app_dir(:ad_tally, "ebin")

    {output, status} = System.cmd("elixir", ["-pa", library, file], stderr_to_stdout: true)
    assert status == 0, output
    assert output =~ ~r/2 (tests, 0 failures|passed)/
  end

  test "the guide's example of caps does what it says", %{caps: caps} do
    assert {:ok, _binding} = Code.eval_string(caps)
  end
end
