//! Launching attention.cu.

use std::path::Path;

use cudarc::driver::{LaunchConfig, PushKernelArg};

use super::{CudaError, open, whole};
use crate::AttentionGrads;

/// The source of relative attention, forward and backward.
pub const ATTENTION: &str = include_str!("../attention.cu");

/// Queries, keys or distances of one block of [`ATTENTION`], its threads, and the most channels that a head may have.
const TILE: usize = 64;
const THREADS: u32 = 256;
const CHANNELS: usize = 128;

/// The extents of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Items.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Channels of a head, at most 128.
    pub size: usize,
    /// Positions.
    pub positions: usize,
    /// Distances with an embedding of their own.
    pub distances: usize,
}

fn grid(x: usize, y: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: (x as u32, y as u32, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
}

/// [`relative_attention`](crate::relative_attention) and its gradients on a CUDA device, from q, k, v, distances and the
/// gradient of the result, all on the host. Uses buffers and a stream of its own and returns when the results are back.
///
/// # Errors
/// If the lengths do not fit, there is no such device, or a step of compiling, copying or launching fails.
pub fn attention_cuda(
    device: usize,
    cache: Option<&Path>,
    shape: AttentionShape,
    [q, k, v, distances, dy]: [&[f32]; 5],
) -> Result<(Vec<f32>, AttentionGrads<Vec<f32>>), CudaError> {
    let AttentionShape { batch, heads, size, positions, distances: known } = shape;
    let (rows, table) = (batch * heads, heads * known * size);
    let n = rows * size * positions;
    if n == 0 || known == 0 || size > CHANNELS || rows > usize::from(u16::MAX) {
        return Err(CudaError::Arguments("attention needs 1 to 128 channels of a head, and at most 65535 heads"));
    }
    if [q, k, v, dy].iter().any(|x| x.len() != n) || distances.len() != table {
        return Err(CudaError::Arguments("operands of attention differ from its shape"));
    }
    let [b, h, s, p, d, r] = [batch, heads, size, positions, known, rows].map(whole);
    let (b, h, s, p, d, r) = (b?, h?, s?, p?, d?, r?);
    let scale = 1.0 / (size as f32).sqrt();
    let (context, module) = open(device, cache, ATTENTION)?;
    let stream = context.new_stream()?;
    let [q, k, v, e, dy] = [q, k, v, distances, dy].map(|x| stream.clone_htod(x));
    let (q, k, v, e, dy) = (q?, k?, v?, e?, dy?);
    let [y, dq, dk, dv] = [n; 4].map(|n| stream.alloc_zeros::<f32>(n));
    let (mut y, mut dq, mut dk, mut dv) = (y?, dq?, dk?, dv?);
    let (mut sums, mut own) =
        (stream.alloc_zeros::<f32>(rows * positions)?, stream.alloc_zeros::<f32>(rows * positions)?);
    let (mut all, mut de) = (stream.alloc_zeros::<f32>(heads * positions * size)?, stream.alloc_zeros::<f32>(table)?);
    let tiles = positions.div_ceil(TILE);
    let each = |n: usize| grid(n.div_ceil(THREADS as usize), 1);
    let kernel = |name: &str| module.load_function(name);
    let names = ["forward", "own", "queries", "keys", "distances", "clip"].map(|name| format!("attention_{name}"));
    let [forward, of_own, queries, keys, of_distances, clip] = names.each_ref().map(|name| kernel(name));
    let (forward, of_own, queries, keys) = (forward?, of_own?, queries?, keys?);
    let (of_distances, clip) = (of_distances?, clip?);
    // SAFETY: the kernels read and write within the buffers of these extents, whose lengths were checked above or made
    // to fit; one stream runs them in order.
    unsafe {
        let mut launch = stream.launch_builder(&forward);
        launch.arg(&q).arg(&k).arg(&v).arg(&e).arg(&mut y).arg(&mut sums);
        launch.arg(&h).arg(&s).arg(&p).arg(&d).arg(&scale).launch(grid(tiles, rows))?;
        let mut launch = stream.launch_builder(&of_own);
        launch.arg(&y).arg(&dy).arg(&mut own).arg(&s).arg(&p).arg(&r).launch(each(rows * positions))?;
        let mut launch = stream.launch_builder(&queries);
        launch.arg(&q).arg(&k).arg(&v).arg(&e).arg(&dy).arg(&sums).arg(&own).arg(&mut dq);
        launch.arg(&h).arg(&s).arg(&p).arg(&d).arg(&scale).launch(grid(tiles, rows))?;
        let mut launch = stream.launch_builder(&keys);
        launch.arg(&q).arg(&k).arg(&v).arg(&e).arg(&dy).arg(&sums).arg(&own).arg(&mut dk).arg(&mut dv);
        launch.arg(&h).arg(&s).arg(&p).arg(&d).arg(&scale).launch(grid(tiles, rows))?;
        let mut launch = stream.launch_builder(&of_distances);
        launch.arg(&q).arg(&k).arg(&v).arg(&e).arg(&dy).arg(&sums).arg(&own).arg(&mut all);
        launch.arg(&b).arg(&h).arg(&s).arg(&p).arg(&d).arg(&scale).launch(grid(tiles, heads))?;
        let mut launch = stream.launch_builder(&clip);
        launch.arg(&all).arg(&mut de).arg(&h).arg(&s).arg(&p).arg(&d).launch(each(table))?;
    }
    let [y, dq, dk, dv, de] = [&y, &dq, &dk, &dv, &de].map(|x| stream.clone_dtoh(x));
    let grads = AttentionGrads { q: dq?, k: dk?, v: dv?, distances: de? };
    let y = y?;
    stream.synchronize()?;
    Ok((y, grads))
}
