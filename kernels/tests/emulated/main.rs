//! Every CUDA kernel on the CPU, through the shim, against plain loops in f64 or the CPU's own operation: sizes off the tiles,
//! both orders of threads and random ones, shared memory watched. Needs a C++ compiler.

#[path = "../networks/mod.rs"]
mod networks;
#[path = "../plain/mod.rs"]
#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;
#[path = "../relative/mod.rs"]
mod relative;
#[path = "../shim/mod.rs"]
mod shim;

mod attention;
mod convolution;
mod devices;
mod elementwise;
mod faults;
mod halves;
mod loss;
mod nearest;
mod norm;
mod optimiser;
mod spectrum;

use kernels::launch::{Plan, Target};
use shim::{Memory, Shim};

/// Forward, reverse, and two random orders.
pub(crate) const ORDERS: [i32; 4] = [0, 1, 2, 3];

/// A number that kernels take or give.
pub(crate) trait Word: Copy {
    const BYTES: usize;
    fn put(self, to: &mut Vec<u8>);
    fn get(from: &[u8]) -> Self;
}
macro_rules! word {
    ($($t:ty)*) => {$(
        impl Word for $t {
            const BYTES: usize = size_of::<$t>();
            fn put(self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }
            fn get(from: &[u8]) -> Self {
                Self::from_le_bytes(from.try_into().expect("whole words"))
            }
        }
    )*};
}
word!(f32 f64 u16 u32 i32);

/// Words as bytes.
pub(crate) fn bytes<T: Word>(words: &[T]) -> Vec<u8> {
    let mut to = Vec::with_capacity(words.len() * T::BYTES);
    words.iter().for_each(|w| w.put(&mut to));
    to
}

/// Bytes as words.
pub(crate) fn words<T: Word>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(T::BYTES).map(T::get).collect()
}

/// Room for `n` words of 4 bytes that nothing wrote.
pub(crate) fn room(n: usize) -> Vec<u8> {
    vec![0xff; 4 * n]
}

/// What a plan makes of its outputs, on this shim.
pub(crate) fn run_on<T: Target<Memory = Memory, Error = String>>(
    shim: &T,
    plan: &Plan,
    inputs: &[Vec<u8>],
    outputs: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, String> {
    let upload = |all: &[Vec<u8>]| all.iter().map(|b| shim.upload(b)).collect::<Result<Vec<_>, _>>();
    let (inputs, memory) = (upload(inputs)?, upload(outputs)?);
    plan.run(shim, &inputs.iter().collect::<Vec<_>>(), &memory.iter().collect::<Vec<_>>())?;
    shim.synchronise()?;
    let back = |(memory, was): (&Memory, &Vec<u8>)| {
        let mut to = vec![0; was.len()];
        shim.download(memory, &mut to).map(|()| to)
    };
    memory.iter().zip(outputs).map(back).collect()
}

/// The same in every order, which must not change a bit.
pub(crate) fn run(plan: &Plan, inputs: &[Vec<u8>], outputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all = ORDERS.iter().map(|order| run_on(&Shim::ordered(*order), plan, inputs, outputs).expect("runs"));
    let first = all.next().expect("an order");
    for (order, other) in ORDERS[1..].iter().zip(all) {
        assert!(other == first, "order {order} gives other bits");
    }
    first
}

/// Numbers that are those of a definition, but for a share of the largest, or of 0.1 where all are smaller.
pub(crate) fn near(what: &str, got: &[f32], want: &[f64], share: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(0.1f64, |m, v| m.max(v.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let apart = (f64::from(*got) - want).abs();
        assert!(apart <= share * scale, "{what} at {i}: {got} and {want}, the largest {scale}");
    }
}
