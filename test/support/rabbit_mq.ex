defmodule AdTally.Test.RabbitMQ do
  @moduledoc """
  A RabbitMQ of a test's own, from the Debian package `rabbitmq-server`: its names, ports, files and
  Erlang port mapper are shared with no other one of the machine.
  """

  alias AdTally.Test.Polling

  @server "/usr/lib/rabbitmq/bin/rabbitmq-server"
  @client ~w(amqp_client rabbit_common credentials_obfuscation jsx recon)
  # Applications of OTP that the client starts.
  @needed [:xmerl, :ssl, :sasl, :syntax_tools, :tools]

  @enforce_keys [:dir, :port, :environment]
  defstruct @enforce_keys

  @doc "Makes the Erlang client of the package available, and starts it."
  def load_client do
    if function_exported?(Mix, :ensure_application!, 1),
      do: for(app <- @needed, do: apply(Mix, :ensure_application!, [app]))

    for library <- @client do
      [ebin] = Path.wildcard("/usr/lib/rabbitmq/lib/*/plugins/#{library}-*/ebin")
      Code.prepend_path(ebin)
    end

    {:ok, _started} = Application.ensure_all_started(:amqp_client)
    :ok
  end

  @doc "One with its files in a directory. It does not run yet."
  def new(dir) do
    [port, distribution, mapper] = free_ports(3)
    File.mkdir_p!(Path.join(dir, "home"))
    File.write!(Path.join(dir, "plugins"), "[].")

    environment = [
      {"HOME", Path.join(dir, "home")},
      {"ERL_EPMD_ADDRESS", "127.0.0.1"},
      {"ERL_EPMD_PORT", "#{mapper}"},
      {"RABBITMQ_CONFIG_FILE", Path.join(dir, "none")},
      {"RABBITMQ_CONF_ENV_FILE", Path.join(dir, "none")},
      {"RABBITMQ_DIST_PORT", "#{distribution}"},
      {"RABBITMQ_ENABLED_PLUGINS_FILE", Path.join(dir, "plugins")},
      {"RABBITMQ_LOG_BASE", Path.join(dir, "log")},
      {"RABBITMQ_MNESIA_BASE", Path.join(dir, "mnesia")},
      {"RABBITMQ_NODENAME", "ad_tally_#{port}@localhost"},
      {"RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"},
      {"RABBITMQ_NODE_PORT", "#{port}"},
      {"RABBITMQ_PID_FILE", Path.join(dir, "pid")},
      {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}"}
    ]

    %__MODULE__{dir: dir, port: port, environment: environment}
  end

  @doc "The URL of its default user, perhaps by way of another port."
  def url(rabbit, port \\ nil), do: "amqp://guest:guest@127.0.0.1:#{port || rabbit.port}/%2f"

  @doc "Starts it, and returns once it takes connections: after some ten seconds."
  def start(rabbit) do
    output = Path.join(rabbit.dir, "output")
    File.rm(output)
    File.rm(Path.join(rabbit.dir, "pid"))

    Port.open({:spawn_executable, "/bin/sh"}, [
      :nouse_stdio,
      args: ["-c", ~s(exec "$0" >"$1" 2>&1 </dev/null), @server, output],
      env: for({name, value} <- rabbit.environment, do: {to_charlist(name), to_charlist(value)})
    ])

    Polling.await(fn -> read(output) =~ "Starting broker... completed" end, 120_000)
  end

  @doc "Kills it, as a crash of its machine would, and waits until it is gone."
  def kill(rabbit) do
    with pid when pid != "" <- read(Path.join(rabbit.dir, "pid")) do
      System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
      Polling.await(fn -> not File.dir?("/proc/#{pid}") end)
    end
  end

  @doc "Kills it with all that it has started."
  def stop(rabbit) do
    kill(rabbit)
    System.cmd("epmd", ["-kill"], env: rabbit.environment, stderr_to_stdout: true)
  end

  defp read(path) do
    case File.read(path) do
      {:ok, text} -> String.trim(text)
      {:error, :enoent} -> ""
    end
  end

  @doc "Ports that nobody listens to."
  def free_ports(count) do
    sockets =
      for _ <- 1..count do
        {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, reuseaddr: true)
        socket
      end

    for socket <- sockets do
      {:ok, port} = :inet.port(socket)
      :gen_tcp.close(socket)
      port
    end
  end
end
