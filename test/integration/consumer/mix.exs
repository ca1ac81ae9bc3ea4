# A service that takes ad events from RabbitMQ and acknowledges what is on disk. `durable_broker_test.exs`
# builds a release of it, and kills that.
defmodule Consumer.MixProject do
  use Mix.Project

  def project do
    [
      app: :consumer,
      version: "0.1.0",
      elixir: "~> 1.14",
      deps: [{:ad_tally, path: System.fetch_env!("AD_TALLY")}]
    ]
  end

  # RabbitMQ's client is found at run time, and starts applications of OTP that a release has only
  # if it is told so.
  def application do
    [
      mod: {Consumer, []},
      extra_applications: [:logger, :ssl, :xmerl, :sasl, :syntax_tools, :tools]
    ]
  end
end
