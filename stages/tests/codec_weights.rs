//! Codec files that are not what they should be.
use stages::model::codec::{Codec, CodecConfig, LevelConfig};
use stages::model::weights::{self, Array, Arrays, WeightsError};

fn config() -> CodecConfig {
    CodecConfig {
        rate: 8000,
        channels: 1,
        dim: 2,
        levels: vec![LevelConfig {
            downs: vec![1],
            strides: vec![],
            width: 2,
            depth: 1,
            dilation_growth: 3,
            codewords: 4,
            oscillators: 0,
        }],
    }
}

/// All tensors of the small codec, zeros.
fn arrays() -> Arrays {
    let shapes: [(&str, &[usize]); 19] = [
        ("bottleneck.level_blocks.0.codebook", &[4, 2]),
        ("decoders.0.level_blocks.0.proj_in.bias", &[2]),
        ("decoders.0.level_blocks.0.proj_in.weight", &[2, 2, 3]),
        ("decoders.0.level_blocks.0.upsample_block.0.resnet_block.0.conv1d_1.bias", &[2]),
        ("decoders.0.level_blocks.0.upsample_block.0.resnet_block.0.conv1d_1.weight", &[2, 2, 3]),
        ("decoders.0.level_blocks.0.upsample_block.0.resnet_block.0.conv1d_2.bias", &[2]),
        ("decoders.0.level_blocks.0.upsample_block.0.resnet_block.0.conv1d_2.weight", &[2, 2, 1]),
        ("decoders.0.level_blocks.0.upsample_block.1.bias", &[2]),
        ("decoders.0.level_blocks.0.upsample_block.1.weight", &[2, 2, 4]),
        ("decoders.0.out.bias", &[1]),
        ("decoders.0.out.weight", &[1, 2, 3]),
        ("encoders.0.level_blocks.0.downsample_block.0.bias", &[2]),
        ("encoders.0.level_blocks.0.downsample_block.0.weight", &[2, 1, 4]),
        ("encoders.0.level_blocks.0.downsample_block.1.resnet_block.0.conv1d_1.bias", &[2]),
        ("encoders.0.level_blocks.0.downsample_block.1.resnet_block.0.conv1d_1.weight", &[2, 2, 3]),
        ("encoders.0.level_blocks.0.downsample_block.1.resnet_block.0.conv1d_2.bias", &[2]),
        ("encoders.0.level_blocks.0.downsample_block.1.resnet_block.0.conv1d_2.weight", &[2, 2, 1]),
        ("encoders.0.level_blocks.0.proj_out.bias", &[2]),
        ("encoders.0.level_blocks.0.proj_out.weight", &[2, 2, 3]),
    ];
    shapes.iter().map(|(n, s)| ((*n).to_owned(), Array::zeros(s))).collect()
}

fn bytes(arrays: &Arrays, entry: &str) -> Vec<u8> {
    weights::to_bytes(arrays, ("refrain_codec", entry.to_owned())).expect("bytes")
}

fn header(version: u32) -> String {
    format!(
        r#"{{"version":{version},"config":{{"rate":8000,"dim":2,"levels":[{{"downs":[1],"width":2,"depth":1,"dilation_growth":3,"codewords":4}}]}}}}"#
    )
}

#[test]
fn equal_codecs_have_equal_bytes() {
    let codec = Codec::new(config(), arrays()).expect("a codec");
    let file = codec.to_bytes().expect("bytes");
    assert_eq!(file, codec.to_bytes().expect("bytes"));
    assert_eq!(Codec::load(&file).expect("a codec"), codec);
    assert_eq!(file, bytes(&arrays(), &header(1)));
}

#[test]
fn published_names_with_a_prefix_and_priors_beside_them() {
    let mut file: Arrays = arrays().into_iter().map(|(n, a)| (format!("vqvae.{n}"), a)).collect();
    file.insert("priors.0.embed".into(), Array::zeros(&[3]));
    let bytes = weights::to_bytes(&file, ("other", String::new())).expect("bytes");
    let codec = Codec::load(&bytes).expect("a codec");
    assert_eq!(codec.config().rate, 44_100);
    assert_eq!(codec.config().levels, config().levels);
}

#[test]
fn complaints_name_what_is_wrong() {
    let complaint = |bytes: &[u8]| Codec::load(bytes).expect_err("not a codec").to_string();
    assert!(complaint(b"RIFF....WAVE").starts_with("not a safetensors file: "));
    let whole = bytes(&arrays(), &header(1));
    assert!(complaint(&whole[..whole.len() - 1]).starts_with("not a safetensors file: "));

    let mut some = arrays();
    some.remove("decoders.0.out.bias");
    assert_eq!(complaint(&bytes(&some, &header(1))), "tensor `decoders.0.out.bias` is missing");

    let mut some = arrays();
    some.insert("decoders.0.out.bias".into(), Array::zeros(&[2]));
    assert_eq!(complaint(&bytes(&some, &header(1))), "tensor `decoders.0.out.bias` has shape [2], expected [1]");

    let mut some = arrays();
    some.insert("more".into(), Array::zeros(&[2]));
    assert_eq!(complaint(&bytes(&some, &header(1))), "tensor `more` does not belong to this configuration");

    let mut some = arrays();
    if let Some(array) = some.get_mut("encoders.0.level_blocks.0.proj_out.bias") {
        array.data[1] = f32::NAN;
    }
    assert_eq!(
        complaint(&bytes(&some, &header(1))),
        "tensor `encoders.0.level_blocks.0.proj_out.bias` holds a value that is not finite"
    );

    assert_eq!(
        complaint(&bytes(&arrays(), r#"{"version":9,"shape":"unheard of"}"#)),
        "the file has format version 9, this program reads up to 1"
    );
    assert!(complaint(&bytes(&arrays(), "{")).starts_with("the configuration in the metadata cannot be read"));
    assert_eq!(
        complaint(&weights::to_bytes(&Arrays::new(), ("x", String::new())).expect("bytes")),
        "no configuration in the metadata and no tensor named `encoders.0...`: not a codec"
    );
}

#[test]
fn configurations_that_make_no_network() {
    let complaint = |change: &dyn Fn(&mut CodecConfig)| {
        let mut config = config();
        change(&mut config);
        match Codec::new(config, Arrays::new()) {
            Err(WeightsError::Config(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(complaint(&|c| c.rate = 0), "the rate is 0, expected 1 to 768000");
    assert_eq!(complaint(&|c| c.levels.clear()), "0 levels, expected 1 to 8");
    let blocks = complaint(&|c| c.levels[0].downs = vec![9, 9]);
    assert!(blocks.starts_with("level 0 has blocks of [9, 9] convolutions with strides of 2, expected"), "{blocks}");
    for strides in [vec![1], vec![257], vec![2, 2]] {
        let blocks = complaint(&|c| c.levels[0].strides.clone_from(&strides));
        assert!(blocks.contains(&format!("with strides of {strides:?}")), "{blocks}");
    }
    assert_eq!(complaint(&|c| c.channels = 3), "3 channels, expected 1 or 2");
    assert_eq!(complaint(&|c| c.levels[0].width = 0), "level 0 has width 0, expected 1 to 8192");
    assert_eq!(complaint(&|c| c.levels[0].codewords = 70_000), "level 0 has 70000 codewords, expected 1 to 65536");
    assert!(complaint(&|c| c.levels[0].depth = 40).contains("40 residual blocks"));
    assert_eq!(complaint(&|c| c.levels.push(c.levels[0].clone())), "the hops of the levels do not grow");
    let uneven = |c: &mut CodecConfig| c.levels.push(LevelConfig { strides: vec![3], ..c.levels[0].clone() });
    assert_eq!(complaint(&uneven), "the hop of level 1 is 3, no multiple of 2, the hop below it");
}
