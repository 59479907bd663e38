use super::*;
use std::io::{self, Cursor, ErrorKind};

fn open(bytes: &[u8]) -> io::Result<TensorFile<Cursor<&[u8]>>> {
    TensorFile::new(Cursor::new(bytes), bytes.len() as u64)
}

fn said(bytes: &[u8]) -> String {
    open(bytes).map(drop).expect_err("refused").to_string()
}

/// An archive of entries that are stored as they are, with an extra field before their bytes, as `torch.save` aligns them.
fn archive(entries: &[(&str, &[u8])], method: u16, wide: bool) -> Vec<u8> {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let at = bytes.len() as u64;
        let short = |n: usize| (n as u16).to_le_bytes();
        bytes.extend(
            [&b"PK\x03\x04"[..], &[0; 22], &short(name.len()), &short(7), name.as_bytes(), b"FB\x03\0ZZZ"].concat(),
        );
        bytes.extend_from_slice(data);
        let (size, header) =
            if wide { ([0xff; 4], [0xff; 4]) } else { ((data.len() as u32).to_le_bytes(), (at as u32).to_le_bytes()) };
        let long = [
            &[1, 0, 24, 0][..],
            &(data.len() as u64).to_le_bytes(),
            &(data.len() as u64).to_le_bytes(),
            &at.to_le_bytes(),
        ];
        let long = if wide { long.concat() } else { Vec::new() };
        let facts = [
            &[0; 4][..],
            &[8, 8],
            &method.to_le_bytes(),
            &[0; 8],
            &size,
            &size,
            &short(name.len()),
            &short(long.len()),
        ];
        list.extend([&b"PK\x01\x02"[..], &facts.concat(), &[0; 10], &header, name.as_bytes(), &long].concat());
    }
    let (start, length) = (bytes.len() as u64, list.len() as u64);
    bytes.extend(&list);
    if wide {
        let at = bytes.len() as u64;
        bytes.extend([&b"PK\x06\x06"[..], &[0; 36], &length.to_le_bytes(), &start.to_le_bytes()].concat());
        bytes.extend([&b"PK\x06\x07"[..], &[0; 4], &at.to_le_bytes(), &[1, 0, 0, 0]].concat());
        bytes.extend([&b"PK\x05\x06"[..], &[0; 4], &[0xff; 12], &[0; 2]].concat());
    } else {
        let count = (entries.len() as u16).to_le_bytes();
        let ends = [(length as u32).to_le_bytes(), (start as u32).to_le_bytes()].concat();
        bytes.extend([&b"PK\x05\x06"[..], &[0; 4], &count, &count, &ends, &[0; 2]].concat());
    }
    bytes
}

/// A text of a pickle.
fn text(text: &str) -> Vec<u8> {
    [&[b'X'][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn whole(number: i32) -> Vec<u8> {
    [&[b'J'][..], &number.to_le_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [&[b'('][..], &items.concat(), b"t"].concat()
}

fn list(numbers: &[i32]) -> Vec<u8> {
    tuple(&numbers.iter().map(|n| whole(*n)).collect::<Vec<_>>())
}

/// The pickle of a tensor.
fn tensor(storage: &str, (key, elements): (&str, i32), offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let kind = format!("ctorch\n{storage}\n").into_bytes();
    let id = [tuple(&[text("storage"), kind, text(key), text("cpu"), whole(elements)]), vec![b'Q']].concat();
    let arguments =
        tuple(&[id, whole(offset), list(shape), list(strides), vec![0x89], b"ccollections\nOrderedDict\n)R".to_vec()]);
    [&b"ctorch._utils\n_rebuild_tensor_v2\n"[..], &arguments, b"R"].concat()
}

fn dictionary(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs: Vec<u8> = pairs.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [&b"}("[..], &pairs, b"u"].concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [&[0x80, 2][..], value, b"."].concat()
}

/// A checkpoint with these pairs, whose storage `0` has the floats 0 to 5.
fn checkpoint(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let floats: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
    archive(&[("a/data.pkl", &pickle(&dictionary(pairs))), ("a/data/0", &floats), ("a/version", b"3\n")], 0, false)
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn tensors_of_an_archive_are_read_where_they_lie() {
    let pairs = [
        ("step", whole(7)),
        (
            "model",
            dictionary(&[
                ("whole", tensor("FloatStorage", ("0", 6), 0, &[2, 3], &[3, 1])),
                ("turned", tensor("FloatStorage", ("0", 6), 0, &[3, 2], &[1, 3])),
                ("part", tensor("FloatStorage", ("0", 6), 4, &[2], &[1])),
                ("number", tensor("FloatStorage", ("0", 6), 5, &[], &[])),
                ("none", tensor("FloatStorage", ("0", 6), 0, &[0, 3], &[3, 1])),
            ]),
        ),
    ];
    for wide in [false, true] {
        let data: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let bytes = archive(&[("a/data.pkl", &pickle(&dictionary(&pairs))), ("a/data/0", &data)], 0, wide);
        let mut file = open(&bytes).expect("a checkpoint");
        assert_eq!(file.number("step"), Some(7));
        let names: Vec<&str> = file.shapes().map(|(name, _)| name).collect();
        assert_eq!(names, ["model.none", "model.number", "model.part", "model.turned", "model.whole"]);
        let mut one = |name: &str| {
            let read = file.read(&[name]).expect("read").remove(0);
            (read.shape.clone(), floats(&read))
        };
        assert_eq!(one("model.whole"), (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(one("model.turned"), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(one("model.part"), (vec![2], vec![4.0, 5.0]));
        assert_eq!(one("model.number"), (vec![], vec![5.0]));
        assert_eq!(one("model.none"), (vec![0, 3], vec![]));
        let error = file.read(&["model.other"]).expect_err("no such tensor");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::NotFound, "no tensor is named `model.other`")
        );
        // One storage for many tensors would be read as often.
        let all = ["model.whole"; 200];
        assert_eq!(
            file.read(&all).expect_err("too large").to_string(),
            "its tensors together are larger than the file"
        );
    }
}

#[test]
fn a_pickle_names_nothing_but_tensors() {
    let harm = |value: &[u8]| said(&checkpoint(&[("model", value.to_vec())]));
    let not = |name: &str| {
        format!("its pickle names {name}, which is no part of a tensor: it is not executed, and the file is not read")
    };
    assert_eq!(harm(b"cos\nsystem\nX\x02\0\0\0id\x85R"), not("os.system"));
    assert_eq!(harm(b"c__builtin__\neval\n"), not("__builtin__.eval"));
    assert_eq!(harm(b"X\x02\0\0\0osX\x06\0\0\0system\x93"), not("os.system"));
    assert_eq!(harm(b"ctorch\nload\n"), not("torch.load"));
    assert_eq!(harm(b"ctorch._utils\n_rebuild_tensor_v2\n)R"), "its pickle calls what cannot be called");
    assert_eq!(harm(b"}}R"), "its pickle is damaged");
    assert_eq!(harm(b"})R"), "its pickle calls what cannot be called");
    assert_eq!(harm(b"]}b"), "its pickle gives a state to what is no dictionary");
    assert_eq!(harm(b"(i"), "its pickle has the opcode 0x69, which no tensor needs");
    assert_eq!(harm(b"K\x01Q"), "its pickle is damaged");
    assert_eq!(harm(b"h\x07"), "its pickle is damaged");
}

#[test]
fn what_says_more_than_it_is_takes_no_memory() {
    let one = |value: Vec<u8>| said(&checkpoint(&[("x", value)]));
    let of = |offset, shape: &[i32], strides: &[i32]| one(tensor("FloatStorage", ("0", 6), offset, shape, strides));
    assert_eq!(of(0, &[7], &[1]), "tensor `x`: it ends behind its storage");
    assert_eq!(of(1, &[2, 3], &[3, 1]), "tensor `x`: it ends behind its storage");
    assert_eq!(of(0, &[i32::MAX, i32::MAX, i32::MAX], &[1, 1, 1]), "tensor `x`: lengths beyond all numbers");
    assert_eq!(of(0, &[1 << 30], &[0]), "tensor `x`: it repeats elements of its storage");
    assert_eq!(of(-1, &[1], &[1]), "tensor `x`: a negative length");
    assert_eq!(of(0, &[2], &[1, 1]), "tensor `x`: another number of strides than of axes");
    assert_eq!(of(0, &[1; 17], &[1; 17]), "a tensor has 17 axes");
    let lacking = one(tensor("FloatStorage", ("0", 7), 0, &[1], &[1]));
    assert_eq!(lacking, "tensor `x`: its storage 0 has 24 bytes, less than its pickle says");
    let gone = one(tensor("FloatStorage", ("1", 6), 0, &[1], &[1]));
    assert_eq!(gone, "tensor `x`: its storage 1 is not there");
    // Texts and tuples that claim to be long.
    assert_eq!(one(b"X\xff\xff\xff\x7fa".to_vec()), "its pickle is cut short");
    assert_eq!(one(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa".to_vec()), "its pickle is cut short");
    // Opcodes without end.
    let endless = one(vec![b']'; (1 << 20) + 1]);
    assert_eq!(endless, "its pickle has more than the 1048576 opcodes that are read");
    // A list in itself; dictionaries of which each holds the one before twice.
    let nested = "its dictionaries are nested beyond all that is read";
    assert_eq!(one(b"]q\x01h\x01a".to_vec()), nested);
    let deep = (0..30).fold(whole(1), |inner, n| {
        let name = format!("{n}{}", "n".repeat(20));
        [&b"}("[..], &text("a"), &inner, &[b'q', n], &text(&name), &[b'h', n], b"u"].concat()
    });
    assert_eq!(one(deep), nested);
    // A list of pairs that many dictionaries are made of.
    let pairs = [&b"]q\x01("[..], &[&text("a")[..], b"K\x01\x86"].concat().repeat(1000), b"e0"].concat();
    let copies = b"ccollections\nOrderedDict\nh\x01\x85R".repeat(2000);
    assert!(one([pairs, copies].concat()).contains("opcodes that are read"));
}

#[test]
fn an_archive_is_whole_and_holds_one_pickle() {
    let value = pickle(&dictionary(&[]));
    let not = "it is a zip archive with 0 entries data.pkl, not one of `torch.save`";
    assert_eq!(said(&archive(&[("a/data.txt", &value)], 0, false)), not);
    let two = archive(&[("a/data.pkl", &value), ("b/data.pkl", &value)], 0, false);
    assert_eq!(said(&two), not.replace('0', "2"));
    let twice = archive(&[("a/data.pkl", &value), ("a/data.pkl", &value)], 0, false);
    assert_eq!(said(&twice), "two entries of the zip archive are named a/data.pkl");
    let packed = archive(&[("a/data.pkl", &value)], 8, false);
    assert_eq!(said(&packed), "a/data.pkl is compressed in the zip archive, which `torch.save` never does");
    let big = archive(&[("a/data.pkl", &value), ("a/byteorder", b"big")], 0, false);
    assert_eq!(said(&big), "its numbers are big-endian");
}

/// A stream of pickles with one storage of halves.
fn stream(value: &[u8]) -> Vec<u8> {
    let magic = [&[0x8a, 10][..], &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]].concat();
    let facts = dictionary(&[("little_endian", vec![0x88])]);
    let keys = [&b"]"[..], &text("7"), b"a"].concat();
    let pickles: Vec<u8> = [&magic[..], b"M\xe9\x03", &facts, value, &keys].iter().flat_map(|p| pickle(p)).collect();
    [&pickles[..], &2u64.to_le_bytes(), &[0, 0x3c, 0, 0xc0]].concat()
}

#[test]
fn tensors_of_a_stream_lie_behind_its_pickles() {
    let bytes = stream(&dictionary(&[("x", tensor("HalfStorage", ("7", 2), 0, &[2], &[1]))]));
    let mut file = open(&bytes).expect("a checkpoint");
    let read = file.read(&["x"]).expect("read").remove(0);
    assert_eq!((read.element, read.shape, read.bytes), (Element::F16, vec![2], vec![0, 0x3c, 0, 0xc0]));
    assert_eq!(said(&stream(&dictionary(&[]))), "no tensor lies in its storage 7");
    let longer = bytes.clone();
    assert_eq!(said(&longer[..longer.len() - 1]), "its storage 7 is cut short");
    assert_eq!(said(&pickle(&[0x8a, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])), "it is a pickle, but none of `torch.save`");
}

/// Whatever is cut off or flipped: an error or a file, no panic, and nothing read from outside.
#[test]
fn damaged_files_end_in_a_sentence() {
    let codec = [
        checkpoint(&[("x", tensor("FloatStorage", ("0", 6), 0, &[2, 3], &[3, 1]))]),
        stream(&dictionary(&[("x", tensor("HalfStorage", ("7", 2), 0, &[2], &[1]))])),
    ];
    for bytes in codec {
        for at in 0..bytes.len() {
            assert!(open(&bytes[..at]).is_err(), "cut at {at}");
            for damage in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= damage;
                if let Ok(mut file) = open(&bytes) {
                    let names: Vec<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
                    for name in names {
                        let _ = file.read(&[&name]);
                    }
                }
            }
        }
    }
}

#[test]
fn headers_of_safetensors_are_checked() {
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let tensor = |shape: &str, from: u64, to: u64| {
        format!(r#""x":{{"dtype":"BF16","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let whole = file(&format!(r#"{{"__metadata__":{{"a":"b"}},{}}}"#, tensor("[2,1]", 0, 4)), 4);
    let mut found = open(&whole).expect("safetensors");
    assert_eq!((found.text("a"), found.text("c")), (Some("b"), None));
    assert_eq!(found.read(&["x"]).expect("read")[0].element, Element::Bf16);
    let one = |shape, from, to| said(&file(&format!("{{{}}}", tensor(shape, from, to)), 4));
    assert_eq!(one("[2]", 0, 5), "tensor `x`: it ends behind the file");
    assert_eq!(one("[2]", 4, 0), "tensor `x`: it ends behind the file");
    assert_eq!(one("[3]", 0, 4), "tensor `x`: it ends behind its storage");
    assert_eq!(one("[1]", 0, 4), "tensor `x`: its shape is not that of its bytes");
    assert_eq!(one("[-1]", 0, 4), "tensor `x`: a negative length");
    let twice = file(&format!("{{{},{}}}", tensor("[1]", 0, 2), tensor("[1]", 2, 4)), 4);
    assert!(said(&twice).contains("two tensors are named `x`"), "{}", said(&twice));
    assert!(said(b"RIFF").ends_with("it has 4 bytes"));
    assert!(said(b"RIFF....WAVE").contains("a header of"));
}
