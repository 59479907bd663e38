//! The binary `refrain`.

/// A training step makes and drops the same large buffers over and over; the system's allocator hands each back to the
/// kernel and pays for its pages again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pipeline::cli::main().into()
}
