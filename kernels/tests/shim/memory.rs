//! Memory that ends where a page begins that must not be touched, and begins behind another.

use std::ffi::{c_int, c_void};

unsafe extern "C" {
    fn mmap(at: *mut c_void, bytes: usize, rights: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn mprotect(at: *mut c_void, bytes: usize, rights: c_int) -> c_int;
    fn munmap(at: *mut c_void, bytes: usize) -> c_int;
}
const READ_WRITE: c_int = 3;
const PRIVATE_ANONYMOUS: c_int = 0x22;

const PAGE: usize = 4096;
/// GPUs align more, but kernels may count on no more than this.
const ALIGNED: usize = 16;
/// What stands between a buffer's end and the page, if its length is no multiple of 16.
const SLACK: u8 = 0xa5;

/// A buffer, filled with NaNs at first.
#[derive(Debug)]
pub struct Memory {
    base: *mut u8,
    room: usize,
    bytes: usize,
}

impl Memory {
    pub fn new(bytes: usize) -> Self {
        let room = bytes.next_multiple_of(PAGE);
        // SAFETY: a new mapping of two pages more than needed, of which the first and the last are closed.
        let base = unsafe {
            let base = mmap(std::ptr::null_mut(), room + 2 * PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0).cast::<u8>();
            assert!(base as isize != -1, "no memory for {bytes} bytes");
            let closed = [base, base.add(PAGE + room)].map(|page| mprotect(page.cast(), PAGE, 0));
            assert_eq!(closed, [0; 2], "a page cannot be closed");
            base
        };
        let memory = Self { base, room, bytes };
        // SAFETY: the slack is part of the open pages.
        unsafe { memory.address().add(bytes).write_bytes(SLACK, bytes.next_multiple_of(ALIGNED) - bytes) };
        memory.write(&vec![0xff; bytes]);
        memory
    }

    /// Where it begins.
    pub fn address(&self) -> *mut u8 {
        // SAFETY: the rounded length is at most the room.
        unsafe { self.base.add(PAGE + self.room - self.bytes.next_multiple_of(ALIGNED)) }
    }

    /// Whether nothing was written behind its end.
    pub fn whole(&self) -> bool {
        let slack = self.bytes.next_multiple_of(ALIGNED) - self.bytes;
        // SAFETY: the slack is part of the open pages.
        (0..slack).all(|i| unsafe { self.address().add(self.bytes + i).read() } == SLACK)
    }

    pub fn write(&self, from: &[u8]) {
        assert!(from.len() <= self.bytes, "{} bytes into {}", from.len(), self.bytes);
        // SAFETY: as many bytes are there, and nobody else has a reference into them.
        unsafe { self.address().copy_from(from.as_ptr(), from.len()) };
    }

    pub fn read(&self, to: &mut [u8]) {
        assert!(to.len() <= self.bytes, "{} bytes of {}", to.len(), self.bytes);
        // SAFETY: as many bytes are there.
        unsafe { to.as_mut_ptr().copy_from(self.address(), to.len()) };
    }
}

// SAFETY: the mapping belongs to this value alone, whoever holds it; the shim runs one launch at a time and reads and writes
// between launches, as `Gpu` asks it to in the order of its calls.
unsafe impl Send for Memory {}
// SAFETY: as above; what is written through a shared reference is written by a launch, of which there is one at a time.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping made above, to which no pointer outlives the launch it was given to.
        unsafe { munmap(self.base.cast(), self.room + 2 * PAGE) };
    }
}
