defmodule AdTally.DurableBrokerTest do
  # Runs by test/integration/durable_broker.sh, which looks for what it needs.
  use ExUnit.Case

  @compile {:no_warn_undefined, [:amqp_channel, :amqp_connection, :amqp_uri]}

  alias AdTally.Sketch
  alias AdTally.Test.{Polling, RabbitMQ, SinkFiles}

  @moduletag :durable_broker
  @moduletag :tmp_dir
  @moduletag timeout: 1_200_000

  @root Path.expand("../..", __DIR__)
  @campaigns 40
  # Messages are published so many at a time, this many milliseconds apart.
  @burst 250
  @pause 50

  test "each message that was published is counted once, though its consumer is killed", %{
    tmp_dir: dir
  } do
    seed = number("SEED", :rand.uniform(1_000_000_000))
    messages = number("MESSAGES", 300_000)
    kills = number("KILLS", 10)
    IO.puts("\nseed #{seed}, #{messages} messages, #{kills} kills")
    :rand.seed(:exsss, seed)

    release = release(dir)
    RabbitMQ.load_client()
    rabbit = RabbitMQ.new(Path.join(dir, "rabbit"))
    on_exit(fn -> RabbitMQ.stop(rabbit) end)
    RabbitMQ.start(rabbit)
    channel = channel(rabbit)
    declare(channel)

    publisher = Task.async(fn -> publish(channel(rabbit), messages, seed) end)

    for kill <- 1..kills do
      consumer = start_consumer(release, dir, rabbit, [])
      Process.sleep(500 + :rand.uniform(4_000))
      pid = kill(consumer, dir)
      IO.puts("kill #{kill}: process #{pid}, #{ready(channel)} messages wait")
    end

    expected = Task.await(publisher, :infinity)
    start_consumer(release, dir, rabbit, [{~c"LAST", ~c"yes"}])
    finished = Path.join(dir, "finished")
    Polling.await(fn -> File.exists?(finished) end, 300_000)
    Polling.await(fn -> not alive?(pid(dir)) end, 60_000)
    IO.puts("the last consumer: #{File.read!(finished)}")

    assert ready(channel) == 0
    rows = Path.join(dir, "rows")
    assert counted(rows) == Map.new(expected, fn {campaign, of} -> {campaign, of.counted} end)

    for {campaign, of} <- expected do
      # One that was not estimated, as it has the same registers.
      assert Sketch.estimate(union(rows, campaign)) == Sketch.estimate(union_of(of.users))
    end
  after
    with pid when is_binary(pid) <- pid(dir),
         do: System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
  end

  defp number(name, default),
    do:
      with(text when text != nil <- System.get_env(name), do: String.to_integer(text)) || default

  # A release of the project beside this file, with the library that this Mix project has.
  defp release(dir) do
    project = Path.join(dir, "consumer")
    File.cp_r!(Path.join(__DIR__, "consumer"), project)
    [library] = Path.wildcard(Path.join(@root, "priv/native/ad_tally_nif.*"))

    {output, status} =
      System.cmd("mix", ["release", "--quiet"],
        cd: project,
        env: [{"AD_TALLY", @root}, {"AD_TALLY_NIF_PATH", library}, {"MIX_ENV", "prod"}],
        stderr_to_stdout: true
      )

    assert status == 0, output
    Path.join(project, "_build/prod/rel/consumer/bin/consumer")
  end

  defp start_consumer(release, dir, rabbit, env) do
    File.rm(Path.join(dir, "pid"))

    client =
      for library <- ~w(amqp_client rabbit_common credentials_obfuscation jsx recon),
          do: hd(Path.wildcard("/usr/lib/rabbitmq/lib/*/plugins/#{library}-*/ebin"))

    env =
      env ++
        [
          {~c"CLIENT", client |> Enum.join(":") |> to_charlist()},
          {~c"DIR", to_charlist(dir)},
          {~c"URL", rabbit |> RabbitMQ.url() |> to_charlist()},
          {~c"RELEASE_MODE", ~c"interactive"},
          {~c"RELEASE_DISTRIBUTION", ~c"none"},
          {~c"MIX_ENV", false}
        ]

    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :nouse_stdio,
        args: ["-c", ~s(exec "$0" start >>"$1" 2>&1 </dev/null), release, Path.join(dir, "log")],
        env: env
      ])

    Polling.await(fn -> pid(dir) != nil end, 60_000)
    port
  end

  defp pid(dir) do
    case File.read(Path.join(dir, "pid")) do
      {:ok, pid} when pid != "" -> pid
      _none -> nil
    end
  end

  defp alive?(pid), do: File.dir?("/proc/#{pid}")

  defp kill(port, dir) do
    pid = pid(dir)
    {_output, 0} = System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
    Polling.await(fn -> not alive?(pid) end, 30_000)
    if Port.info(port), do: Port.close(port)
    pid
  end

  defp channel(rabbit) do
    {:ok, params} = rabbit |> RabbitMQ.url() |> to_charlist() |> :amqp_uri.parse()
    {:ok, connection} = :amqp_connection.start(params)
    {:ok, channel} = :amqp_connection.open_channel(connection)
    channel
  end

  defp declare(channel) do
    declare = {:"queue.declare", 0, "events", false, true, false, false, false, []}
    {:"queue.declare_ok", "events", 0, 0} = :amqp_channel.call(channel, declare)
  end

  # Messages that wait in the queue.
  defp ready(channel) do
    declare = {:"queue.declare", 0, "events", true, true, false, false, false, []}
    {:"queue.declare_ok", "events", ready, _consumers} = :amqp_channel.call(channel, declare)
    ready
  end

  # Publishes events of now: what was published, by campaign.
  defp publish(channel, messages, seed) do
    :rand.seed(:exsss, {seed, 1, 1})

    1..messages
    |> Enum.chunk_every(@burst)
    |> Enum.reduce(%{}, fn ids, expected ->
      Process.sleep(@pause)
      Enum.reduce(ids, expected, &publish_one(channel, &1, &2))
    end)
  end

  defp publish_one(channel, id, expected) do
    at = System.system_time(:millisecond)
    campaign = :rand.uniform(@campaigns)
    user = :rand.uniform(200_000)
    spend = :rand.uniform(5_000)
    payload = Enum.join([id, at, campaign, user, spend], ",")
    for _ <- 1..copies(id), do: send_message(channel, payload)

    one = %{counted: {0, 0}, users: MapSet.new()}

    Map.update(expected, campaign, add(one, user, spend), &add(&1, user, spend))
  end

  defp copies(id), do: if(rem(id, 20) == 0, do: 2, else: 1)

  defp add(%{counted: {impressions, sum}, users: users}, user, spend),
    do: %{counted: {impressions + 1, sum + spend}, users: MapSet.put(users, user)}

  defp send_message(channel, payload) do
    publish = {:"basic.publish", 0, "", "events", false, false}

    properties =
      {:P_basic, :undefined, :undefined, [], 2, :undefined, :undefined, :undefined, :undefined,
       :undefined, :undefined, :undefined, :undefined, :undefined, :undefined}

    :ok = :amqp_channel.cast(channel, publish, {:amqp_msg, properties, payload})
  end

  # Impressions and spend by campaign, of all files.
  defp counted(rows) do
    for row <- SinkFiles.rows(rows, :counters), reduce: %{} do
      sums ->
        row = Map.new(row)
        %{"campaign" => campaign, "impressions" => impressions, "spend_micros" => spend} = row

        Map.update(sums, campaign, {impressions, spend}, fn {i, s} ->
          {i + impressions, s + spend}
        end)
    end
  end

  defp union(rows, campaign) do
    sketches =
      for row <- SinkFiles.rows(rows, :reach),
          %{"campaign" => ^campaign, "reach_sketch" => sketch} <- [Map.new(row)],
          do: SinkFiles.sketch!(sketch)

    {:ok, union} = Sketch.union(sketches)
    union
  end

  defp union_of(users) do
    sketch = users |> MapSet.to_list() |> Sketch.from_users(precision: 12)
    {:ok, union} = Sketch.union([sketch, sketch])
    union
  end
end
