//! Programs that run the kernels of a .cu file on the CPU.
#![expect(unreachable_pub, reason = "a module of several tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program of `NAME_host.cpp`, built in `folder`. Its tests are ignored unless asked for: they need a C++ compiler.
pub fn build(name: &str, folder: &Path, sanitize: bool) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let program = folder.join(name);
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "g++".into()));
    compiler.args(["-std=c++17", "-O1", "-o"]).arg(&program).arg(tests.join(format!("{name}_host.cpp")));
    if sanitize {
        compiler.args(["-g", "-fsanitize=address"]);
    }
    let done = compiler.output().expect("a C++ compiler");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}.cu does not compile for the CPU: {said}");
    program
}

/// What the program writes, given its input.
pub fn run(program: &Path, input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the shim starts");
    child.stdin.take().expect("piped").write_all(input).expect("the shim reads its input");
    let done = child.wait_with_output().expect("the shim ends");
    assert!(done.status.success(), "the shim ended with {}", done.status);
    done.stdout
}
