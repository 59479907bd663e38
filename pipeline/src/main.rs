//! The binary `refrain`.

fn main() -> std::process::ExitCode {
    pipeline::cli::main().into()
}
