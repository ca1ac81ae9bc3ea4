defmodule AdTally.Test.Moto do
  @moduledoc """
  An S3-compatible store that checks signatures: moto's server, in the environment that
  `test/integration/brokers.sh` makes. Requests by this module need no signature.
  """

  alias AdTally.Test.Polling

  @server "_build/brokers/bin/moto_server"
  # Any request at all.
  @policy ~s({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})
  @trust ~s({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]})

  @enforce_keys [:url, :pid]
  defstruct @enforce_keys

  @doc "Makes OTP's HTTP client available, and starts it."
  def load_client do
    needed = [:inets, :ssl]

    if function_exported?(Mix, :ensure_application!, 1),
      do: for(app <- needed, do: apply(Mix, :ensure_application!, [app]))

    for app <- needed, do: {:ok, _started} = Application.ensure_all_started(app)
    :ok
  end

  @doc "Starts one on a port of this machine. With `certificate:` and `key:`, paths, it speaks TLS."
  def start(port, dir, tls \\ []) do
    pid = Path.join(dir, "moto_#{port}.pid")
    arguments = ["-H", "127.0.0.1", "-p", "#{port}"] ++ tls_arguments(tls)

    Port.open({:spawn_executable, "/bin/sh"}, [
      :nouse_stdio,
      args: [
        "-c",
        ~s(echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@" >"$0.log" 2>&1),
        pid,
        Path.expand(@server) | arguments
      ]
    ])

    Polling.await(fn -> listening?(port) end, 60_000)

    scheme = if tls == [], do: "http", else: "https"
    %__MODULE__{url: "#{scheme}://localhost:#{port}", pid: File.read!(pid) |> String.trim()}
  end

  defp listening?(port) do
    with {:ok, socket} <- :gen_tcp.connect({127, 0, 0, 1}, port, []),
         do: :ok == :gen_tcp.close(socket),
         else: (_error -> false)
  end

  defp tls_arguments([]), do: []
  defp tls_arguments(certificate: certificate, key: key), do: ["-s", "-c", certificate, "-k", key]

  def stop(moto), do: System.cmd("kill", ["-KILL", moto.pid], stderr_to_stdout: true)

  @doc "The id and the secret of a user who may do everything."
  def user(moto) do
    iam(moto, "CreateUser", UserName: "sink")
    iam(moto, "PutUserPolicy", UserName: "sink", PolicyName: "all", PolicyDocument: @policy)

    moto
    |> iam("CreateAccessKey", UserName: "sink")
    |> elements(["AccessKeyId", "SecretAccessKey"])
  end

  @doc "The id, secret and token of a role that may do everything."
  def role(moto) do
    role = iam(moto, "CreateRole", RoleName: "sink", AssumeRolePolicyDocument: @trust)
    iam(moto, "PutRolePolicy", RoleName: "sink", PolicyName: "all", PolicyDocument: @policy)
    [arn] = elements(role, ["Arn"])

    moto
    |> query("sts", "2011-06-15", "AssumeRole", RoleArn: arn, RoleSessionName: "session")
    |> elements(["AccessKeyId", "SecretAccessKey", "SessionToken"])
  end

  @doc "Checks the signatures of requests from now on, or no more."
  def check_signatures(moto, check?) do
    count = if check?, do: "0", else: "inf"
    {200, _answer} = request(:post, "#{moto.url}/moto-api/reset-auth", count)
    :ok
  end

  @doc "Makes a bucket."
  def create_bucket(moto, bucket), do: {200, _answer} = request(:put, "#{moto.url}/#{bucket}", "")

  @doc "The objects of a bucket, by key."
  def objects(moto, bucket) do
    check_signatures(moto, false)
    {200, list} = request(:get, "#{moto.url}/#{bucket}?list-type=2", nil)

    for [key] <- Regex.scan(~r"<Key>(.*?)</Key>", list, capture: :all_but_first), into: %{} do
      {200, bytes} = request(:get, "#{moto.url}/#{bucket}/#{URI.encode(key)}", nil, scope("s3"))
      {key, bytes}
    end
  end

  defp iam(moto, action, fields), do: query(moto, "iam", "2010-05-08", action, fields)

  defp query(moto, service, version, action, fields) do
    body = URI.encode_query([Action: action, Version: version] ++ fields)
    form = "application/x-www-form-urlencoded"
    {200, answer} = request(:post, moto.url <> "/", body, scope(service), form)
    answer
  end

  # Tells the server which service is meant, and that somebody asks.
  defp scope(service) do
    scope = "Credential=any/20260101/us-east-1/#{service}/aws4_request"
    signed = "AWS4-HMAC-SHA256 #{scope}, SignedHeaders=host, Signature=0"
    [{~c"authorization", to_charlist(signed)}]
  end

  defp elements(xml, names) do
    for name <- names do
      [_all, text] = Regex.run(~r"<#{name}>(.*?)</#{name}>", xml)
      text
    end
  end

  defp request(method, url, body, headers \\ [], type \\ "text/plain") do
    request =
      if body,
        do: {to_charlist(url), headers, to_charlist(type), body},
        else: {to_charlist(url), headers}

    {:ok, {{_version, status, _text}, _headers, answer}} =
      apply(:httpc, :request, [method, request, [], [body_format: :binary]])

    {status, answer}
  end
end
