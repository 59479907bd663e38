//! Faults planted in kernels. The shim must find each: by what it watches, or by a result other than the sound kernel's.

use kernels::launch::attention::{self, AttentionShape};
use kernels::launch::convolution::{self, Beside, ConvolutionShape};
use kernels::launch::linear::{self, LinearShape};
use kernels::launch::nearest::{self, Search};
use kernels::launch::{Bound, Launch, Plan, SOURCES, Source, Target};
use kernels::launch::{embedding, layer_norm};
use kernels::tensor::DType;
use kernels::tensor::Half;

use crate::plain::Noise;
use crate::shim::{Memory, Shim, library};
use crate::{ORDERS, bytes, room, run_on};

/// The shim with one source changed.
struct Planted {
    shim: Shim,
    source: &'static Source,
    library: std::path::PathBuf,
}

impl Target for Planted {
    type Memory = Memory;
    type Error = String;

    fn alloc(&self, bytes: usize) -> Result<Memory, String> {
        self.shim.alloc(bytes)
    }

    fn write(&self, to: &mut Memory, from: &[u8]) -> Result<(), String> {
        self.shim.write(to, from)
    }

    fn is_full(error: &String) -> bool {
        Shim::is_full(error)
    }

    fn download(&self, from: &Memory, to: &mut [u8]) -> Result<(), String> {
        self.shim.download(from, to)
    }

    fn launch(&self, launch: &Launch, values: &[Bound<'_, Memory>]) -> Result<(), String> {
        if launch.source != self.source {
            return self.shim.launch(launch, values);
        }
        self.shim.launch_from(&self.library, launch, values)
    }

    fn synchronise(&self) -> Result<(), String> {
        self.shim.synchronise()
    }
}

/// How a fault shows.
#[derive(Debug, PartialEq)]
enum Seen {
    /// The shim says a sentence with these words.
    Said(&'static str),
    /// The result is another in some order, nothing being said.
    Wrong,
}
use Seen::{Said, Wrong};

/// What it is, its source, the text and its replacement, how it is seen.
type Fault = (&'static str, &'static str, &'static str, &'static str, Seen);

const FAULTS: [Fault; 16] = [
    (
        "no barrier before a tile is used",
        CONVOLUTION,
        "(rs, t, t1, right);\n        __syncthreads();",
        "(rs, t, t1, right);",
        Said("nothing wrote"),
    ),
    (
        "no barrier before a tile is filled",
        CONVOLUTION,
        "{\n        __syncthreads();\n        fill<LEFT",
        "{\n        fill<LEFT",
        Said("race"),
    ),
    (
        "a frame behind the last is read",
        CONVOLUTION,
        " || at >= frames) return 0.f;\n        const float v = x[(long long)(term %",
        ") return 0.f;\n        const float v = x[(long long)(term %",
        Said("outside of every buffer"),
    ),
    (
        "a frame behind the last is written",
        CONVOLUTION,
        "if (o >= outputs || t >= length) continue;",
        "if (o > outputs || t > length) continue;",
        Said("buffer"),
    ),
    ("taps of the wrong phase", CONVOLUTION, "int first = 0, step = 1;", "int first = 1, step = 1;", Wrong),
    (
        "no barrier between channels' sums",
        LAYER_NORM,
        "    __syncthreads();\n    float s = 0.f;\n    for (int g",
        "    float s = 0.f;\n    for (int g",
        Said("nothing wrote"),
    ),
    (
        "some threads miss a barrier",
        LAYER_NORM,
        "    const float share = 1.f / channels;\n    x +=",
        "    if (!there) return;\n    const float share = 1.f / channels;\n    x +=",
        Said("wait"),
    ),
    (
        "a list is read before it is whole",
        EMBEDDING,
        "= (int)threadIdx.x;\n        __syncthreads();",
        "= (int)threadIdx.x;",
        Said("nothing wrote"),
    ),
    (
        "a sum in the order of chance",
        EMBEDDING,
        "__popc(hits & ((1u << lane) - 1))] = (int)",
        "__popc(hits & ~((2u << lane) - 1))] = (int)",
        Wrong,
    ),
    (
        "a mask that is one too wide",
        ATTENTION,
        "x0 + tx * EACH + b <= i ? exp_of",
        "x0 + tx * EACH + b <= i + 1 ? exp_of",
        Wrong,
    ),
    (
        "ties to the highest index",
        NEAREST,
        "other == best[i] && there < at[i]",
        "other == best[i] && there > at[i]",
        Wrong,
    ),
    ("no wait for a copy", LINEAR_MMA, "cp_async_wait<STAGES - 2>();", "", Said("cp.async")),
    (
        "a wait one too lax",
        LINEAR_MMA,
        "cp_async_wait<STAGES - 2>();",
        "cp_async_wait<STAGES - 1>();",
        Said("cp.async"),
    ),
    (
        "rows of the wrong half of a fragment",
        LINEAR_MMA,
        "place<false>(r + (lane & 15), kk",
        "place<false>(r + (lane & 7), kk",
        Wrong,
    ),
    ("a skew off by one", ATTENTION_MMA, "((i - j) & (", "((i - j + 1) & (", Said("nothing wrote")),
    (
        "no barrier before values are used",
        ATTENTION_MMA,
        "__syncthreads();  // values are here",
        "// values are here",
        Said("race"),
    ),
];

const CONVOLUTION: &str = "ops/convolution/convolution.cu";
const LAYER_NORM: &str = "ops/layer_norm/layer_norm.cu";
const EMBEDDING: &str = "ops/embedding/embedding.cu";
const ATTENTION: &str = "ops/attention/attention.cu";
const NEAREST: &str = "ops/nearest/nearest.cu";
const LINEAR_MMA: &str = "ops/linear/linear_mma.cu";
const ATTENTION_MMA: &str = "ops/attention/attention_mma.cu";

/// A plan with its inputs and outputs.
type Try = (Plan, Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Plans that go through a source.
fn tries(source: &str) -> Vec<Try> {
    let mut noise = Noise::new(1);
    let mut floats = |n: usize| bytes(&noise.floats(n));
    let halves =
        |n: usize| bytes(&(0..n).map(|i| 0x3c00 + (i * 37 % 900) as u16 + (i % 2 * 0x8000) as u16).collect::<Vec<_>>());
    match source {
        CONVOLUTION => {
            let s = ConvolutionShape {
                batch: 1,
                inputs: 9,
                frames: 64,
                outputs: 5,
                taps: 4,
                stride: 2,
                padding: 1,
                dilation: 1,
            };
            let (x, w, y) = (9 * 64, 5 * 9 * 4, 5 * s.length());
            vec![
                (convolution::forward(s, Beside::default()), vec![floats(x), floats(w)], vec![room(y)]),
                (convolution::adjoint(s, Beside::default()), vec![floats(y), floats(w)], vec![room(x)]),
            ]
        }
        LAYER_NORM => vec![(
            layer_norm::forward([1, 20, 33], DType::F32),
            vec![floats(660), floats(20), floats(20)],
            vec![room(660), room(66)],
        )],
        EMBEDDING => {
            let codes = bytes(&(0..70).map(|i| i % 3).collect::<Vec<u32>>());
            vec![(embedding::backward([1, 4, 70], &[3], DType::F32), vec![codes, floats(280)], vec![room(12)])]
        }
        ATTENTION => {
            let s = AttentionShape { batch: 1, heads: 1, size: 4, positions: 20, known: 9 };
            vec![(
                attention::forward(s, DType::F32),
                vec![floats(80), floats(80), floats(80), floats(36)],
                vec![room(80), room(20)],
            )]
        }
        NEAREST => {
            let s = Search { items: 1, dim: 4, frames: 9, codewords: 70 };
            let (z, codebook) = crate::nearest::operands(s, 1);
            vec![(nearest::nearest(s), vec![bytes(&z), bytes(&codebook)], vec![room(9), room(9)])]
        }
        LINEAR_MMA => {
            let s = LinearShape { batch: 1, inputs: 96, outputs: 40, positions: 24, half: Half::F16 };
            vec![(linear::forward(s, false), vec![halves(96 * 24), halves(96 * 40), floats(40)], vec![room(40 * 24)])]
        }
        ATTENTION_MMA => {
            let s = AttentionShape { batch: 1, heads: 1, size: 16, positions: 72, known: 80 };
            let plan = attention::forward_half(s, Half::F16).expect("a head that is known");
            vec![(
                plan,
                vec![halves(16 * 72), halves(16 * 72), halves(16 * 72), halves(64 * 80)],
                vec![vec![0xff; 2 * 16 * 72], room(72)],
            )]
        }
        other => panic!("nothing is known of {other}"),
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn every_planted_fault_is_found() {
    let mut missed = Vec::new();
    for (what, name, from, to, seen) in FAULTS {
        let source = SOURCES.iter().find(|s| s.name == name).expect("a source");
        let text = source.text();
        assert_eq!(text.matches(from).count(), 1, "{what}: the text to change");
        let library = library(source, &text.replace(from, to));
        let mut said = None;
        for ((plan, inputs, outputs), order) in tries(name).iter().flat_map(|t| ORDERS.map(|order| (t, order))) {
            let shim = Shim::ordered(order);
            let sound = run_on(&shim, plan, inputs, outputs).expect("the sound kernel runs");
            match run_on(&Planted { shim, source, library: library.clone() }, plan, inputs, outputs) {
                Err(sentence) => said = said.or(Some(sentence)),
                Ok(result) if result != sound => said = said.or(Some("a wrong result".into())),
                Ok(_) => {}
            }
        }
        println!("{what}: {}", said.as_deref().unwrap_or("NOT FOUND"));
        let expected = match seen {
            Said(words) => words,
            Wrong => "a wrong result",
        };
        if !said.as_deref().is_some_and(|said| said.contains(expected)) {
            missed.push(format!("{what}: {said:?}, not {expected}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
