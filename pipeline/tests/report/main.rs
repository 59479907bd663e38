//! The report of a run: complete, well formed, safe, and the same bytes each time.

mod fixture;
mod well_formed;

use pipeline::report::data::*;
use pipeline::report::{attribution_md, html, trained_on_md};

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let from = page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
    &page[from..from + page[from..].find("</section>").expect("the section's end")]
}

#[test]
fn equal_reports_give_equal_bytes_on_any_number_of_threads() {
    let report = fixture::report(1.0);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| html(&report))
    };
    let page = with(1);
    assert!(page == with(4), "the page depends on the number of threads");
    let stored = postcard::to_stdvec(&report).expect("plain data");
    let again: Report = postcard::from_bytes(&stored).expect("plain data");
    assert!(again == report, "the data does not survive being stored");
    assert!(page == html(&again), "the page depends on more than the data");
    assert_eq!(attribution_md(&report), attribution_md(&again));
}

#[test]
fn every_section_is_there_in_order_and_the_page_is_well_formed() {
    let page = html(&fixture::report(0.5));
    assert_eq!(well_formed::fault(&page), None);
    let order = ["stages", "corpus", "training", "codebooks", "scores", "listen", "attribution", "manifest"];
    let places: Vec<usize> =
        order.iter().map(|id| page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("{id}"))).collect();
    assert!(places.is_sorted());
    assert!(order.iter().all(|id| page.contains(&format!("<a href=\"#{id}\">"))));
    assert!(page.contains("40 tracks, 89 minutes of audio, became 412 clips"));
    assert!(page.contains("became 412 clips and 29,412,864 codes, at hops 8, 32 and 128; 22 rows dropped"));
    assert!(page.contains("codec pinned, 12 tracks newer than it"));
}

#[test]
fn every_stage_shows_what_it_kept_and_why_it_dropped() {
    let page = html(&fixture::report(0.1));
    let stages = section(&page, "stages");
    for stage in fixture::stages() {
        assert!(stages.contains(&format!("<th scope=\"row\">{} ", stage.name)), "{}", stage.name);
        for reason in &stage.reasons {
            assert!(stages.contains(&format!("<code>{}</code> \u{d7} {}", reason.code, reason.count)));
        }
    }
    assert!(stages.contains("folder/&lt;b&gt;demo&lt;/b&gt;.ogg: no license is stated"));
    assert_eq!(stages.matches("class=\"edge\"").count(), 11);
    assert_eq!(stages.matches("class=\"node\"").count(), 10);
}

#[test]
fn charts_cover_the_corpus_the_training_and_the_codebooks() {
    let page = html(&fixture::report(0.1));
    let corpus = section(&page, "corpus");
    for label in ["CC-BY-SA-3.0 OR MIT", "train", "dub", "none stated"] {
        assert!(corpus.contains(label), "{label}");
    }
    assert_eq!(corpus.matches("<svg").count(), 4);
    let training = section(&page, "training");
    assert_eq!(training.matches("<svg").count(), 4 + 3);
    assert_eq!(training.matches("class=\"line t").count(), 12 + 11);
    let books = section(&page, "codebooks");
    assert_eq!(books.matches("class=\"line t").count(), 9);
    assert!(books.contains("2,048 of 2,048") && books.contains("1,024 of 2,048") && books.contains("512 of 2,048"));
    let scores = section(&page, "scores");
    assert!(scores.contains("12.3") && scores.contains("\u{2212}1.2") && scores.contains("\u{2013}"));
}

#[test]
fn originals_and_reconstructions_have_pictures_players_and_figures() {
    let page = html(&fixture::report(0.5));
    let listen = section(&page, "listen");
    assert_eq!(listen.matches("href=\"data:image/png;base64,").count(), 16);
    assert_eq!(listen.matches("<audio controls").count(), 16);
    assert!(listen.contains("SI-SDR 14.2 dB") && listen.contains("log-mel 0.81"));
    assert!(listen.contains("held out") && listen.contains("seen in training"));
}

#[test]
fn songs_have_pictures_players_and_what_they_rest_on() {
    let page = html(&fixture::report(0.5));
    let songs = section(&page, "songs");
    assert_eq!(songs.matches("href=\"data:image/png;base64,").count(), 1);
    assert_eq!(songs.matches("<audio controls").count(), 1);
    for said in [
        "dub-1",
        ">5a0c19be77f1</code>",
        "<a href=\"audio/dub%201.wav\">audio/dub 1.wav</a>",
        ">9a1c0b77de3f</code></a>",
        "CC-BY-4.0 (31 tracks), CC0-1.0 (1 track), 2 recordings that are no longer in the corpus",
        "not recorded: it was loaded from a file",
        "<a href=\"#attribution\">",
    ] {
        assert!(songs.contains(said), "{said}");
    }
    // Every link to a model goes somewhere; that of the bottom's prior, of which nothing is said, is none.
    let links: Vec<&str> = songs.split("href=\"#model-").skip(1).filter_map(|s| s.split('"').next()).collect();
    assert_eq!(links.len(), 3);
    assert!(links.iter().all(|id| songs.contains(&format!("<tr id=\"model-{id}\">"))), "{links:?}");
}

#[test]
fn the_training_of_priors_stands_beside_that_of_the_codec() {
    let page = html(&fixture::report(0.1));
    let training = section(&page, "training");
    assert!(training.contains("top: level 2 ") && training.contains("hop 8, bits per code"));
    assert_eq!(training.matches("Bits per code of ").count(), 3);
    let alone = Report { priors: fixture::report(0.1).priors, ..Report::default() };
    let page = html(&alone);
    assert_eq!(well_formed::fault(&page), None);
    // A line for the batches, the held-out codes, the unigram and, of two levels, the bigram.
    assert_eq!(section(&page, "training").matches("class=\"line t").count(), 11);
}

#[test]
fn nothing_from_outside_becomes_markup_or_a_link_that_runs() {
    let page = html(&fixture::report(0.1));
    assert!(!page.contains("<script") && !page.contains("<b>"));
    assert!(!page.contains("href=\"javascript"));
    assert!(page.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
    let outside: Vec<&str> = page.split("src=\"").skip(1).filter(|s| !s.starts_with("data:audio/wav")).collect();
    assert!(outside.is_empty() && !page.contains("url(http") && !page.contains("@import"));
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("https://spdx.org/licenses/CC-BY-SA-3.0.html"));
}

#[test]
fn a_run_of_ingest_and_license_has_a_short_page() {
    let full = fixture::report(0.1);
    let report = Report {
        name: "two".to_owned(),
        run_id: "0011".to_owned(),
        stages: full.stages.iter().filter(|s| s.verb == "ingest" || s.verb == "license").cloned().collect(),
        corpus: CorpusView { seconds: Vec::new(), splits: [(String::new(), 40)].into(), ..full.corpus.clone() },
        attribution: full.attribution.clone(),
        ..Report::default()
    };
    let page = html(&report);
    assert_eq!(well_formed::fault(&page), None);
    assert!(page.contains("40 tracks were kept; 6 rows dropped"));
    assert!(page.contains("The recordings were not changed."));
    for absent in ["training", "codebooks", "scores", "listen", "manifest", "NaN", "By split", "By length"] {
        assert!(!page.contains(&format!("id=\"{absent}\"")) && !page.contains(&format!(">{absent}")), "{absent}");
    }
}

#[test]
fn odd_reports_are_pages_too() {
    let page = html(&Report::default());
    assert_eq!(well_formed::fault(&page), None);
    assert!(page.contains("0 tracks"));

    let odd = Report {
        stages: vec![StageView {
            name: "a".to_owned(),
            from: vec!["a".to_owned(), "b".to_owned()],
            ..StageView::default()
        }],
        corpus: CorpusView { tracks: 3, seconds: vec![f64::NAN; 3], ..CorpusView::default() },
        curves: vec![CurveSet {
            level: 9,
            hop: 1,
            points: vec![CurvePoint { spectral: f64::NAN, ..CurvePoint::default() }],
        }],
        codebooks: vec![Codebook { level: 9, hop: 1, counts: vec![0; 4] }, Codebook::default()],
        players: vec![Sample { reconstructions: vec![Reconstruction::default()], ..Sample::default() }; 2],
        scores: vec![ScoreTable::default()],
        attribution: vec![Attribution::default()],
        ..Report::default()
    };
    let page = html(&odd);
    assert_eq!(well_formed::fault(&page), None);
    assert!(!page.contains("NaN") && !page.contains("inf"));
    assert!(page.contains("No license stated"));
}

#[test]
fn many_players_stay_within_the_bound_and_the_page_says_so() {
    let one = Sample {
        track: "long".to_owned(),
        original: Audio { rate: 44_100, samples: vec![0.1; 44_100 * 20] },
        reconstructions: (0..3)
            .map(|level| Reconstruction {
                level,
                hop: 8,
                audio: Audio { rate: 44_100, samples: vec![0.1; 44_100 * 20] },
                si_sdr_db: Some(1.0),
                log_mel: None,
            })
            .collect(),
        ..Sample::default()
    };
    let page = html(&Report { players: vec![one; 40], ..Report::default() });
    assert!(page.len() < 36 * 1024 * 1024, "{} bytes", page.len());
    assert!(page.contains("The first 16 of 40 recordings. Each player holds at most the first 4 seconds"));
    assert_eq!(page.matches("<audio").count(), 64);
    assert_eq!(page.matches("<th scope=\"row\">long</th>").count(), 40);
}

#[test]
fn attribution_names_every_work_once_and_does_not_depend_on_the_order() {
    let mut report = fixture::report(0.1);
    let text = attribution_md(&report);
    report.attribution.reverse();
    assert_eq!(attribution_md(&report), text);
    assert_eq!(text.lines().filter(|line| line.starts_with("- \"")).count(), 40);
    assert!(text.contains(
        "It rests on 40 tracks under 4 licenses. The recordings were decoded, resampled, cut and encoded to discrete codes."
    ));
    assert!(text.contains(
        "- \"Piece 1\" by Artist 1. Source: <https://example.org/music?piece=1&from=archive>. License: CC-BY-4.0 \
         (<https://creativecommons.org/licenses/by/4.0/>)."
    ));
    assert!(text.contains(
        "## CC-BY-SA-3.0 OR MIT\n\n<https://spdx.org/licenses/CC-BY-SA-3.0.html> <https://spdx.org/licenses/MIT.html>\n"
    ));
    assert!(text.contains("## No license stated"));
    assert!(text.contains("\\<script\\>alert(\"x\")\\</script\\> \\& 'co' \\*\\_\\[\\]"));
    assert!(text.contains("Source: javascript:alert(1).") && !text.contains("<javascript"));

    let trained_on = trained_on_md(&report);
    assert!(trained_on.contains("Its models, and whatever is made with them, rest on 35 tracks under 4 licenses."));
    assert!(!trained_on.contains("\"Piece 8\"") && trained_on.contains("\"Piece 9\""));
    let untrained = trained_on_md(&Report::default());
    assert!(untrained.contains("No recording of this corpus is known"), "{untrained}");

    report.attribution.extend(fixture::attribution());
    let doubled = attribution_md(&report);
    assert_eq!(doubled.lines().filter(|line| line.starts_with("- \"")).count(), 40);
    assert_eq!(doubled.lines().filter(|line| line.ends_with(" 2 tracks.")).count(), 40);
}
