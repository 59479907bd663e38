//! The engine: numeric operations of the models, a tape to go back through them, and the devices that run them.
//!
//! **An operation** is a function of [`Value`](tape::Value)s on a [`Tape`](tape::Tape). It checks shapes, allocates its
//! result, launches its kernels and leaves its way back on the tape. **A kernel** is a struct of extents that says how it
//! runs on a device. **A device** owns memory and runs kernels in the order of the calls. Networks are plain functions
//! over a tape, so they know neither devices nor gradients.
//!
//! | module | holds |
//! |---|---|
//! | [`tensor`] | shapes, element types, buffers and the arena that they come from |
//! | [`device`] | the trait [`Device`](device::Device); the CPU; a GPU over whatever runs launches |
//! | [`tape`] | recording, going back, segments, parameters |
//! | [`ops`] | an operation per folder, each beside its plain twin |
//! | [`cpu`] | what the CPU's kernels are made of |
//! | [`launch`] | what a GPU is asked to do, as data; `cuda`, behind the feature of that name, does it |
//!
//! **Precision** is the device's: activations and their gradients are of 32 bits or of 16; sums, parameters, their gradients
//! and their moments are of 32 or more for each of them.
//!
//! | on | the same bits | another |
//! |---|---|---|
//! | the CPU | for any number of threads, any batch around an item, any instruction set | |
//! | a GPU | from run to run, in segments or not | than the CPU: sums have another order, fixed by the extents |
//!
//! There is no broadcasting, no view, no lazy graph, and no operation that no network calls. This crate is where `unsafe`
//! lives.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod launch;
pub mod ops;
pub mod tape;
pub mod tensor;

/// An operation, and what there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its folder in [`ops`].
    pub name: &'static str,
    /// Its definition.
    pub definition: &'static str,
    /// Whether it can be gone back through.
    pub backward: bool,
    /// Whether there is a kernel in CUDA C++, its own or that of the convolutions it is made of.
    pub cuda: bool,
}

const fn op(name: &'static str, definition: &'static str, backward: bool, cuda: bool) -> Operation {
    Operation { name, definition, backward, cuda }
}

/// Every operation.
pub const OPS: [Operation; 17] = [
    op("adam", "moments of gradients move parameters, with decoupled decay", false, true),
    op("add", "a + b", true, true),
    op("attention", "y_i = sum over j <= i of softmax_j(q_i . (k_j + e_(i - j)) / sqrt(size)) v_j", true, true),
    op("cast", "activations in another element type", false, true),
    op("columns", "columns of sequences, one behind the other", false, true),
    op("convolution", "y[o][t] = b[o] + sum over i, k w[o][i][k] x[i][t stride + k dilation - padding]", true, true),
    op("cross_entropy", "-log softmax(logits)[code], and its gradient", false, true),
    op("embedding", "y[:, t] = table[row[t]]", true, true),
    op("finite", "whether no number is infinite or NaN", false, true),
    op("gelu", "x sigmoid(1.702 x)", true, true),
    op("layer_norm", "(x - mean) / sqrt(variance + 1e-5) gain + bias", true, true),
    op("linear", "y = w x + b at every position", true, true),
    op("loss", "distances of samples and of STFT magnitudes, and their gradients", false, true),
    op("nearest", "the codeword with the least |z - c|, and sums of vectors by codeword", false, true),
    op("norm", "the Euclidean norm of several tensors", false, true),
    op("residual", "x + b2 + w2 relu(b1 + w1 * relu(x))", true, true),
    op("stft", "windowed Fourier transforms every hop, and their adjoint", false, true),
];
