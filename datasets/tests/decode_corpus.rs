//! Real files with known answers.
use datasets::audio::decode::{DecodeError, decode};
use std::path::Path;

#[test]
fn table() {
    let Some(root) = std::env::var_os("REFRAIN_SHARED") else { return };
    let root = Path::new(&root).join("data");
    let text = std::fs::read_to_string(root.join("DECODE.tsv")).unwrap();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        let t = std::time::Instant::now();
        let got = decode(&root.join(f[0]), &mut |_, _, _| Ok(()));
        let ms = t.elapsed().as_millis();
        let got = match got {
            Ok(d) => format!("{} {} {}", d.rate, d.channels, d.frames),
            Err(DecodeError::Refused(r)) => format!("refused {r}"),
            Err(e) => format!("{e:?}"),
        };
        let want = format!("{} {} {}", f[3], f[4], f[5]);
        if got != want || f[6] != "clean" || ms > 2000 {
            println!("{ms} ms\t{}\t{}\t{want} {}\t{got}", f[0], f[1], f[6]);
        }
    }
}
