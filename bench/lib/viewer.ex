defmodule AdTally.Bench.Viewer do
  @moduledoc """
  Somebody who looks at a page over HTTP: asks for addresses once a second, over a connection that stays open, and
  reads the answers.
  """

  @doc "Asks until `seconds` have passed, and returns the last answer of each address."
  @spec look(:inet.port_number(), [String.t(), ...], number()) :: [binary()]
  def look(port, paths, seconds) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false])
    answers = look(socket, paths, now() + round(seconds * 1_000), [])
    :gen_tcp.close(socket)
    answers
  end

  defp look(socket, paths, until, answers) do
    began = now()

    if began >= until and answers != [] do
      answers
    else
      answers = for path <- paths, do: get(socket, path)
      began |> Kernel.+(1_000) |> min(until) |> Kernel.-(now()) |> max(0) |> Process.sleep()
      look(socket, paths, until, answers)
    end
  end

  defp get(socket, path) do
    :ok = :gen_tcp.send(socket, "GET #{path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
    read(socket, "")
  end

  defp read(socket, bytes) do
    with [head, body] <- String.split(bytes, "\r\n\r\n", parts: 2) do
      "HTTP/1.1 200 " <> _reason = head
      [_all, length] = Regex.run(~r/content-length: (\d+)/i, head)

      case String.to_integer(length) - byte_size(body) do
        0 ->
          body

        missing ->
          {:ok, rest} = :gen_tcp.recv(socket, missing, 60_000)
          body <> rest
      end
    else
      [_part] ->
        {:ok, more} = :gen_tcp.recv(socket, 0, 60_000)
        read(socket, bytes <> more)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
