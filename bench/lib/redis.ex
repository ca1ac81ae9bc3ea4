defmodule AdTally.Bench.Redis do
  @moduledoc """
  A Redis of its own, and a client that sends many commands at once and then reads all of their answers.

  It listens on a Unix socket and writes nothing to a disk. It ends with this VM, however that ends.
  """

  @enforce_keys [:socket]
  defstruct @enforce_keys

  @type t :: %__MODULE__{socket: :gen_tcp.socket()}

  @type answer :: binary() | integer() | nil | {:error, binary()}

  # A server that has been told to begin is there within milliseconds.
  @attempts 200
  @pause 25
  @timeout 30_000

  # Its input is a pipe of this VM, which is closed with it.
  @guarded ~S(redis-server "$@" >/dev/null 2>&1 & server=$!; cat >/dev/null; kill $server; wait $server; rm -rf "$0")

  @doc "Whether the program is installed."
  @spec available?() :: boolean()
  def available?, do: System.find_executable("redis-server") != nil

  @doc "Starts a server, and connects to it. It ends with the calling process."
  @spec start() :: t()
  def start do
    dir = Path.join(System.tmp_dir!(), "ad_tally_bench_redis_#{System.pid()}_#{unique()}")
    File.mkdir_p!(dir)
    path = Path.join(dir, "socket")

    options = [
      "--port",
      "0",
      "--unixsocket",
      path,
      "--save",
      "",
      "--appendonly",
      "no",
      "--dir",
      dir
    ]

    Port.open({:spawn_executable, System.find_executable("sh")}, [
      :binary,
      args: ["-c", @guarded, dir | options]
    ])

    redis = %__MODULE__{socket: connect(path, @attempts)}
    "PONG" = command(redis, ["PING"])
    redis
  end

  defp unique, do: System.unique_integer([:positive])

  defp connect(path, attempts) do
    case :gen_tcp.connect({:local, path}, 0, [:local, :binary, active: false]) do
      {:ok, socket} ->
        socket

      {:error, reason} when attempts == 0 ->
        raise "redis-server does not answer on #{path}: #{inspect(reason)}"

      {:error, _not_yet} ->
        Process.sleep(@pause)
        connect(path, attempts - 1)
    end
  end

  @doc "One command, and its answer."
  @spec command(t(), [iodata() | integer()]) :: answer()
  def command(redis, words) do
    [answer] = pipeline(redis, [words])
    answer
  end

  @doc "Sends commands together: their answers."
  @spec pipeline(t(), [[iodata() | integer()]]) :: [answer()]
  def pipeline(%{socket: socket}, commands) do
    :ok = :gen_tcp.send(socket, Enum.map(commands, &encode/1))
    answers(socket, "", length(commands), [])
  end

  defp encode(words) do
    ["*", Integer.to_string(length(words)), "\r\n" | Enum.map(words, &bulk/1)]
  end

  defp bulk(word) when is_integer(word), do: word |> Integer.to_string() |> bulk()

  defp bulk(word),
    do: ["$", Integer.to_string(IO.iodata_length(word)), "\r\n", word, "\r\n"]

  defp answers(_socket, "", 0, answers), do: Enum.reverse(answers)

  defp answers(socket, bytes, left, answers) do
    case decode(bytes) do
      {answer, rest} ->
        answers(socket, rest, left - 1, [answer | answers])

      :more ->
        {:ok, more} = :gen_tcp.recv(socket, 0, @timeout)
        answers(socket, bytes <> more, left, answers)
    end
  end

  # The first answer of these bytes, and what follows it.
  defp decode(bytes) do
    case :binary.split(bytes, "\r\n") do
      [<<kind, line::binary>>, rest] -> decode(kind, line, rest)
      [_no_end] -> :more
    end
  end

  defp decode(?+, line, rest), do: {line, rest}
  defp decode(?-, line, rest), do: {{:error, line}, rest}
  defp decode(?:, line, rest), do: {String.to_integer(line), rest}
  defp decode(?$, "-1", rest), do: {nil, rest}

  defp decode(?$, size, rest) do
    size = String.to_integer(size)

    case rest do
      <<word::binary-size(size), "\r\n", rest::binary>> -> {word, rest}
      _shorter -> :more
    end
  end
end
