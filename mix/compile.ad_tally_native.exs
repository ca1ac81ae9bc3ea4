defmodule Mix.Tasks.Compile.AdTallyNative do
  @shortdoc "Builds the native library of AdTally"
  @moduledoc """
  Builds the Rust crate `ad_tally_nif` with cargo and puts the library into `priv/native`.

  Cargo is started only when the Rust sources, the machine or the environment variables that
  change what rustc makes (`RUSTFLAGS`, `CARGO_ENCODED_RUSTFLAGS`, `CARGO_BUILD_TARGET`) are not
  those of the library that is there, or with `--force`. `CARGO_TARGET_DIR` is honoured.

  With `AD_TALLY_NIF_PATH` set to a library built elsewhere, that one is copied instead, and no
  Rust is needed. Without the variable the next compilation builds from source again.
  """
  use Mix.Task.Compiler

  @crate "ad_tally_nif"
  @root Path.dirname(__DIR__)
  @directory Path.join(@root, "priv/native")

  # The names that cargo gives the library and that :erlang.load_nif/2 looks
  # for: .so on macOS too. This file is evaluated whenever Mix starts, so they
  # are those of the machine it runs on.
  {built, installed} =
    case :os.type() do
      {:win32, _} -> {"#{@crate}.dll", "#{@crate}.dll"}
      {:unix, :darwin} -> {"lib#{@crate}.dylib", "#{@crate}.so"}
      {:unix, _} -> {"lib#{@crate}.so", "#{@crate}.so"}
    end

  @built built
  @library Path.join(@directory, installed)

  # Kept beside the library, not in _build, because priv belongs to the sources:
  # all Mix environments, and all projects with this checkout as a path
  # dependency, share one library and so need one account of where it is from.
  @manifest Path.join(@directory, "built_from")

  # What the library is made of; tests and benchmarks of the crates are not in it.
  @sources [
    ~c"Cargo.{toml,lock}",
    ~c".cargo/config{,.toml}",
    ~c"rust-toolchain{,.toml}",
    ~c"native/*/{Cargo.toml,build.rs}",
    ~c"native/*/src/**/*.rs"
  ]
  @rustc_variables ~w(RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET)

  @impl true
  def run(arguments) do
    origin = origin()

    with {:ok, fingerprint} <- fingerprint(origin),
         true <- "--force" in arguments or not current?(fingerprint),
         {:ok, library} <- obtain(origin) do
      install(library, fingerprint)
      {:ok, []}
    else
      false -> {:noop, []}
      {:error, message} -> fail(message)
    end
  end

  @impl true
  def manifests, do: [@manifest]

  @impl true
  def clean, do: File.rm_rf!(@directory)

  defp origin do
    case System.get_env("AD_TALLY_NIF_PATH", "") do
      "" -> :cargo
      path -> {:prebuilt, Path.expand(path, @root)}
    end
  end

  defp fingerprint({:prebuilt, path}) do
    case File.read(path) do
      {:ok, library} ->
        {:ok, "prebuilt " <> digest(library)}

      {:error, reason} ->
        {:error,
         "AD_TALLY_NIF_PATH names #{path}, which cannot be read: #{:file.format_error(reason)}.\n" <>
           "Give the full path of a built #{@built}, " <>
           "or unset the variable to build it with cargo."}
    end
  end

  defp fingerprint(:cargo) do
    # Not Path.wildcard/1, which would take brackets in @root for a pattern.
    sources =
      for pattern <- @sources,
          path <- :filelib.wildcard(pattern, to_charlist(@root)),
          do: {path, File.read(Path.join(@root, path))}

    # The architecture, because a checkout may be mounted into a container that
    # cannot load what its host has built.
    machine = :erlang.system_info(:system_architecture)
    variables = Enum.map(@rustc_variables, &System.get_env/1)
    {:ok, "sources " <> digest(:erlang.term_to_binary({sources, machine, variables}))}
  end

  defp digest(binary), do: binary |> :erlang.md5() |> Base.encode16(case: :lower)

  defp current?(fingerprint) do
    File.read(@manifest) == {:ok, fingerprint} and File.regular?(@library)
  end

  defp obtain({:prebuilt, path}), do: {:ok, path}

  defp obtain(:cargo) do
    case System.find_executable("cargo") do
      nil -> {:error, no_cargo()}
      cargo -> build(cargo)
    end
  end

  defp build(cargo) do
    Mix.shell().info("Building #{@crate} with cargo")
    target = Path.expand(System.get_env("CARGO_TARGET_DIR", "target"), @root)
    options = ~w(--release --locked --package #{@crate} --target-dir) ++ [target]

    # Cargo reports on stderr, which the child shares with this VM. So on a
    # terminal it keeps its colours and its progress bar.
    case System.cmd(cargo, ["build" | options], cd: @root, into: IO.stream()) do
      {_, 0} ->
        # Cargo adds a folder for the target only when one was asked for.
        triple = List.wrap(System.get_env("CARGO_BUILD_TARGET"))
        {:ok, Path.join([target] ++ triple ++ ["release", @built])}

      {_, status} ->
        {:error, "cargo build ended with status #{status}; what it said is above."}
    end
  end

  # Copied aside and renamed: writing into a library that a running VM has
  # mapped crashes that VM, while a rename leaves it with the file it has. The
  # manifest goes first, so that a run cut short here is never taken for current.
  defp install(library, fingerprint) do
    aside = @library <> "." <> System.pid()

    File.mkdir_p!(@directory)
    File.rm(@manifest)
    File.cp!(library, aside)
    File.rename!(aside, @library)
    File.write!(@manifest, fingerprint)

    # Mix linked priv into _build before the compilers ran, when there may have
    # been no priv; where it has to copy, the copy is now out of date.
    Mix.Project.build_structure()

    if :code.is_loaded(AdTally.Native) do
      Mix.shell().info("This VM keeps the #{@crate} it has loaded; restart it for the new one.")
    end
  end

  defp fail(message) do
    Mix.shell().error(message)

    diagnostic = %Mix.Task.Compiler.Diagnostic{
      compiler_name: "ad_tally_native",
      file: Path.join(@root, "Cargo.toml"),
      message: message,
      position: 0,
      severity: :error
    }

    {:error, [diagnostic]}
  end

  defp no_cargo do
    """
    AdTally is partly written in Rust, and cargo, which builds that part, is not on the PATH.
    Install Rust 1.91 or newer (https://rustup.rs), or set AD_TALLY_NIF_PATH to the full path \
    of a built #{@built}.\
    """
  end
end
