# Compiles the modules of the benchmarks into this VM, for when it was started
# from the library's own Mix project: bin/bench without Hex, and the tests.
unless Code.ensure_loaded?(AdTally.Bench) do
  files =
    for directory <- ["lib", "jobs"],
        file <- File.ls!(Path.join(__DIR__, directory)),
        Path.extname(file) == ".ex",
        do: Path.join([__DIR__, directory, file])

  {:ok, _modules, _warnings} = Kernel.ParallelCompiler.compile(files, return_diagnostics: true)
end
