//! The CUDA sources.

/// A source: what it is made of, and its kernels.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name, for messages.
    pub name: &'static str,
    /// The texts of which it is made, by their names: headers, then the operation's own.
    pub parts: &'static [(&'static str, &'static str)],
    /// The kernels in it.
    pub kernels: &'static [&'static str],
}

impl Source {
    /// The whole source; a compiler's messages name the part and its line.
    pub fn text(&self) -> String {
        self.parts.iter().map(|(name, text)| format!("#line 1 \"{name}\"\n{text}\n")).collect()
    }
}

macro_rules! part {
    ($path:literal) => {
        ($path, include_str!(concat!("../", $path)))
    };
}

macro_rules! sources {
    ($($id:ident: $name:literal [$($part:literal),*] [$($kernel:literal),* $(,)?];)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub static $id: Source = Source {
                name: $name,
                parts: &[part!("device/cuda/prelude.cuh"), $(part!($part),)* part!($name)],
                kernels: &[$($kernel),*],
            };
        )*
        /// All of them.
        pub static SOURCES: &[&Source] = &[$(&$id),*];
    };
}

sources! {
    ADAM: "ops/adam/adam.cu" [] ["adam_step"];
    ADD: "ops/add/add.cu" [] ["add_f32", "add_f16", "add_bf16"];
    ATTENTION: "ops/attention/attention.cu" [] [
        "attention_forward_f32", "attention_forward_f16", "attention_forward_bf16",
        "attention_own_f32", "attention_own_f16", "attention_own_bf16",
        "attention_queries_f32", "attention_queries_f16", "attention_queries_bf16",
        "attention_keys_f32", "attention_keys_f16", "attention_keys_bf16",
        "attention_distances_f32", "attention_distances_f16", "attention_distances_bf16",
        "attention_clip",
    ];
    ATTENTION_MMA: "ops/attention/attention_mma.cu" ["device/cuda/mma.cuh"] [
        "attention_f16_64", "attention_f16_128", "attention_f16_160", "attention_bf16_64", "attention_bf16_128",
        "attention_bf16_160",
    ];
    CACHED: "ops/attention/cached.cu" [] [
        "attention_push_f32", "attention_push_f16", "attention_push_bf16", "attention_see_f32", "attention_see_f16",
        "attention_see_bf16",
    ];
    CAST: "ops/cast/cast.cu" [] ["cast_f32_to_f16", "cast_f32_to_bf16", "cast_f16_to_f32", "cast_bf16_to_f32"];
    COLUMNS: "ops/columns/columns.cu" [] ["columns_copy_4", "columns_copy_2"];
    CONVOLUTION: "ops/convolution/convolution.cu" ["device/cuda/product.cuh"] [
        "convolution_forward", "convolution_adjoint", "convolution_weights", "convolution_sum_parts",
        "convolution_channel_sums",
    ];
    CONVOLUTION_MMA: "ops/convolution/convolution_mma.cu" ["device/cuda/mma.cuh", "device/cuda/gemm.cuh"] [
        "convolution_pack_f16", "convolution_forward_f16", "convolution_adjoint_f16", "convolution_weights_f16",
        "convolution_channel_sums_f16", "convolution_pack_bf16", "convolution_forward_bf16", "convolution_adjoint_bf16",
        "convolution_weights_bf16", "convolution_channel_sums_bf16",
    ];
    CROSS_ENTROPY: "ops/cross_entropy/cross_entropy.cu" [] [
        "cross_entropy_forward_f32", "cross_entropy_forward_f16", "cross_entropy_forward_bf16", "cross_entropy_sum",
    ];
    EMBEDDING: "ops/embedding/embedding.cu" ["device/cuda/gather.cuh"] [
        "embedding_forward_f32", "embedding_forward_f16", "embedding_forward_bf16",
        "embedding_backward_f32", "embedding_backward_f16", "embedding_backward_bf16",
    ];
    FINITE: "ops/finite/finite.cu" [] ["finite_count_f32", "finite_count_f16", "finite_count_bf16", "finite_all"];
    GELU: "ops/gelu/gelu.cu" [] [
        "gelu_forward_f32", "gelu_forward_f16", "gelu_forward_bf16", "gelu_backward_f32", "gelu_backward_f16", "gelu_backward_bf16",
    ];
    LAYER_NORM: "ops/layer_norm/layer_norm.cu" [] [
        "layer_norm_forward_f32", "layer_norm_forward_f16", "layer_norm_forward_bf16",
        "layer_norm_backward_f32", "layer_norm_backward_f16", "layer_norm_backward_bf16",
        "layer_norm_parameters_f32", "layer_norm_parameters_f16", "layer_norm_parameters_bf16",
    ];
    LINEAR: "ops/linear/linear.cu" [] ["linear_rows_f32", "linear_rows_f16", "linear_rows_bf16"];
    LINEAR_MMA: "ops/linear/linear_mma.cu" ["device/cuda/mma.cuh", "device/cuda/gemm.cuh"] [
        "linear_forward_f16", "linear_forward_bf16", "linear_forward_f16_narrow", "linear_forward_bf16_narrow",
        "linear_adjoint_f16", "linear_adjoint_bf16", "linear_adjoint_f16_narrow", "linear_adjoint_bf16_narrow",
        "linear_weights_f16", "linear_weights_bf16",
    ];
    LOSS: "ops/loss/loss.cu" [] ["loss_samples", "loss_sum", "loss_magnitudes", "loss_spectra"];
    NEAREST: "ops/nearest/nearest.cu" ["device/cuda/product.cuh", "device/cuda/gather.cuh"] [
        "nearest_half_squares", "nearest_f32", "nearest_sums", "nearest_average", "nearest_out_of_use", "nearest_centres",
    ];
    NEAREST_MMA: "ops/nearest/nearest_mma.cu" ["device/cuda/mma.cuh"] [
        "nearest_64", "nearest_128", "nearest_prepare_64", "nearest_prepare_128",
    ];
    NORM: "ops/norm/norm.cu" [] ["norm_squares", "norm_sum"];
    STFT: "ops/stft/stft.cu" ["device/cuda/product.cuh"] [
        "stft_matrix", "stft_spectrum", "stft_frames", "stft_overlap", "stft_magnitude", "stft_magnitude_backward",
    ];
}
