[
  inputs: [
    "{mix,.formatter}.exs",
    "mix/*.exs",
    "bench/*.exs",
    "bench/{jobs,lib}/**/*.{ex,exs}",
    "{demo,lib,test}/**/*.{ex,exs}"
  ]
]
