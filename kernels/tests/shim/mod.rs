//! The CPU as a target of launches: each source compiled by g++ beside the headers of this folder, loaded, and run fiber by
//! fiber, every access to shared memory watched. Needs a C++ compiler.
#![expect(unreachable_pub, reason = "a module of several tests")]

mod memory;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use kernels::launch::{Bound, Launch, Source, Target};
pub use memory::Memory;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}
const RTLD_NOW: c_int = 2;

/// `shim_launch` of library.h.
type Entry = unsafe extern "C" fn(
    *const c_char,
    *const c_uint,
    c_uint,
    c_uint,
    *const c_char,
    *const *const u64,
    *const c_int,
) -> *const c_char;

/// Libraries by their path. One launch at a time: handlers of signals belong to the whole process.
static LIBRARIES: Mutex<BTreeMap<PathBuf, Entry>> = Mutex::new(BTreeMap::new());

/// How kernels run.
#[derive(Clone, Copy, Debug)]
pub struct Shim {
    /// Of threads and blocks: 0 forward, 1 reverse, more: random by this seed, with switches in mid-phase.
    pub order: i32,
    /// Whether accesses to shared memory are watched; without, a fault must show as a wrong result.
    pub checks: bool,
    /// Products that a tensor core adds at a time, cut off; 0: exactly.
    pub tensor_core: i32,
}

impl Shim {
    pub fn ordered(order: i32) -> Self {
        Self { order, checks: true, tensor_core: 16 }
    }
}

/// The library of a source, which is compiled where that was not done before. `text` is the source, or what a test made of it.
pub fn library(source: &Source, text: &str) -> PathBuf {
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
    let mut flags =
        vec!["-std=c++17", "-O2", "-ffp-contract=off", "-fno-gnu-unique", "-fPIC", "-shared", "-Wall", "-Wextra"];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
        flags.extend(["-mfma", "-mf16c"]); // else each fmaf is a call
    }
    let names: String = source.kernels.iter().map(|name| format!("NAMED({name}) ")).collect();
    let program = format!("{text}\n#line 1 \"list\"\n#define KERNELS {names}\n#include \"library.h\"\n");
    let mut digest = DefaultHasher::new(); // of fixed keys
    (&compiler, &flags, &program).hash(&mut digest);
    for header in ["watch.h", "fibers.h", "shim.h", "tensor_core.h", "library.h"] {
        std::fs::read(headers.join(header)).expect("a header of the shim").hash(&mut digest);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim");
    std::fs::create_dir_all(&folder).expect("a folder for libraries");
    let path = folder.join(format!("{:016x}.so", digest.finish()));
    if !path.exists() {
        let part = |end: &str| {
            let thread = std::thread::current().id();
            path.with_extension(format!("{}.{thread:?}.{end}", std::process::id()))
        };
        let (from, to) = (part("cpp"), part("so"));
        std::fs::write(&from, program).expect("a place for the source");
        let done = Command::new(&compiler).args(&flags).arg("-I").arg(&headers).arg(&from).arg("-o").arg(&to).output();
        let done = done.expect("a C++ compiler");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.is_empty(), "{} does not compile for the CPU: {said}", source.name);
        std::fs::rename(&to, &path).expect("a library in its place");
        std::fs::remove_file(&from).ok();
    }
    path
}

fn open(path: &Path) -> Entry {
    let name = CString::new(path.to_str().expect("a path in UTF-8")).expect("no zeros");
    // SAFETY: the names are C strings; the symbol's type is library.h's, and a library stays open.
    unsafe {
        let library = dlopen(name.as_ptr(), RTLD_NOW);
        assert!(!library.is_null(), "{}", CStr::from_ptr(dlerror()).to_string_lossy());
        let symbol = dlsym(library, c"shim_launch".as_ptr());
        assert!(!symbol.is_null(), "{} has no launcher", path.display());
        std::mem::transmute::<*mut c_void, Entry>(symbol)
    }
}

impl Shim {
    /// Runs a launch of a library.
    pub fn launch_from(&self, library: &Path, launch: &Launch, values: &[Bound<'_, Memory>]) -> Result<(), String> {
        let word = |v: &Bound<'_, Memory>| match v {
            Bound::Memory(m) => ('p', m.address() as u64),
            Bound::Null => ('p', 0),
            Bound::Int(v) => ('i', u64::from(v.cast_unsigned())),
            Bound::Long(v) => ('l', v.cast_unsigned()),
            Bound::Float(v) => ('f', u64::from(v.to_bits())),
            Bound::Double(v) => ('d', v.to_bits()),
        };
        let (takes, words): (String, Vec<u64>) = values.iter().map(word).unzip();
        let pointers: Vec<*const u64> = words.iter().map(|w| &raw const *w).collect();
        let [name, takes] = [launch.kernel, &takes].map(|s| CString::new(s).expect("no zeros"));
        let settings = [self.order, i32::from(self.checks), self.tensor_core];
        let mut libraries = LIBRARIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let entry = *libraries.entry(library.to_path_buf()).or_insert_with(|| open(library));
        // SAFETY: the library compares `takes` with what the kernel takes before it reads an argument. What it answers is null
        // or a C string that lives until the next launch. A kernel that leaves its buffers meets a page that is not there, which
        // the library reports.
        let wrong = unsafe {
            let said = entry(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.threads,
                launch.shared,
                takes.as_ptr(),
                pointers.as_ptr(),
                settings.as_ptr(),
            );
            (!said.is_null()).then(|| CStr::from_ptr(said).to_string_lossy().into_owned())
        };
        drop(libraries);
        if let Some(wrong) = wrong {
            return Err(format!("{}: {wrong}", launch.kernel));
        }
        let spilled = values.iter().any(|v| matches!(v, Bound::Memory(m) if !m.whole()));
        if spilled { Err(format!("{}: writes behind a buffer", launch.kernel)) } else { Ok(()) }
    }
}

impl Target for Shim {
    type Memory = Memory;
    type Error = String;

    fn alloc(&self, bytes: usize) -> Result<Memory, String> {
        Ok(Memory::new(bytes))
    }

    fn write(&self, to: &mut Memory, from: &[u8]) -> Result<(), String> {
        to.write(from);
        Ok(())
    }

    fn is_full(_: &String) -> bool {
        false
    }

    fn download(&self, from: &Memory, to: &mut [u8]) -> Result<(), String> {
        from.read(to);
        Ok(())
    }

    fn launch(&self, launch: &Launch, values: &[Bound<'_, Memory>]) -> Result<(), String> {
        self.launch_from(&library(launch.source, &launch.source.text()), launch, values)
    }

    fn synchronise(&self) -> Result<(), String> {
        Ok(())
    }
}
