//! Policies: verdicts over expressions, patterns and their complaints.

use datasets::license::{License, List, Policy, PolicyRefusal, Unstated, Verdict};
use proptest::prelude::*;

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    Policy::new(allow, deny, Unstated::Refuse).unwrap()
}

fn judge(allow: &[&str], deny: &[&str], license: &str) -> Result<String, (&'static str, String)> {
    match policy(allow, deny).judge(&License::read(license)) {
        Verdict::Allowed { under } => Ok(under),
        Verdict::Refused { code, sentence } => Err((code.code(), sentence)),
    }
}

fn code(allow: &[&str], deny: &[&str], license: &str) -> &'static str {
    judge(allow, deny, license).map_or_else(|(code, _)| code, |_| "allowed")
}

#[test]
fn expressions_are_evaluated() {
    let allow = &["MIT", "CC-BY-4.0", "GPL-2.0-only WITH Classpath-exception-2.0"];
    for (license, want) in [
        ("MIT", Ok("MIT")),
        ("Apache-2.0 OR MIT", Ok("MIT")),
        ("CC-BY-4.0 OR MIT", Ok("CC-BY-4.0")),
        ("Apache-2.0 AND MIT", Err("license-not-allowed")),
        ("CC-BY-4.0 AND MIT", Ok("CC-BY-4.0 AND MIT")),
        ("CC-BY-4.0 AND (0BSD OR MIT)", Ok("CC-BY-4.0 AND MIT")),
        ("GPL-2.0-only", Err("license-not-allowed")),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Ok("GPL-2.0-only WITH Classpath-exception-2.0")),
        ("MIT WITH LLVM-exception", Err("license-not-allowed")),
        ("", Err("license-unknown")),
        ("my own terms", Err("license-unreadable")),
    ] {
        let got = judge(allow, &[], license);
        let got = got.as_ref().map(String::as_str).map_err(|(code, _)| *code);
        assert_eq!(got, want, "{license}");
    }
}

#[test]
fn deny_wins_over_allow_for_that_leaf_only() {
    let (allow, deny) = (&["*"], &["CC-BY-NC-*", "GPL-2.0-only"]);
    assert_eq!(code(allow, deny, "CC-BY-NC-4.0"), "license-denied");
    assert_eq!(code(allow, deny, "CC-BY-4.0"), "allowed");
    assert_eq!(code(allow, deny, "CC-BY-NC-4.0 OR CC-BY-4.0"), "allowed");
    assert_eq!(code(allow, deny, "CC-BY-NC-4.0 AND CC-BY-4.0"), "license-denied");
    let linked = "GPL-2.0-only WITH Classpath-exception-2.0";
    assert_eq!(code(allow, deny, linked), "license-denied");
    // One side is merely not listed: listing it would help, so that is what is said.
    assert_eq!(code(&["MIT"], deny, "CC-BY-NC-4.0 OR 0BSD"), "license-not-allowed");
    assert_eq!(code(&["MIT"], deny, "CC-BY-NC-4.0 AND 0BSD"), "license-denied");
}

#[test]
fn families_hold_versions_and_ports_and_nothing_else() {
    for (pattern, license, holds) in [
        ("CC-BY-*", "CC-BY-4.0", true),
        ("cc-by-*", "CC-BY-3.0-US", true),
        ("CC-BY-*", "http://creativecommons.org/licenses/by/2.0/fr/", true),
        ("CC-BY-*", "Attribution", true),
        ("CC-BY-*", "CC-BY-NC-4.0", false),
        ("CC-BY-*", "CC-BY-SA-4.0", false),
        ("CC-BY-NC-SA-*", "Attribution-Noncommercial-Share Alike 3.0 United States", true),
        ("CC-BY-NC-SA-3.0-*", "LicenseRef-CC-BY-NC-SA-3.0-US", true),
        ("CC-BY-NC-SA-3.0-*", "CC-BY-NC-SA-3.0", false),
        ("CC-BY-NC-SA-3.0-*", "CC-BY-NC-SA-4.0", false),
        ("CC0-*", "CC0-1.0", true),
        ("GPL-*", "GPL-3.0-or-later", true),
        ("GPL-*", "LGPL-3.0-or-later", false),
        ("GPL-*", "GPL-3.0-only WITH GCC-exception-3.1", false),
        ("LicenseRef-*", "LicenseRef-PublicDomain", true),
        ("LicenseRef-Own-*", "LicenseRef-Own-2024", true),
        ("LicenseRef-Own-*", "LicenseRef-Owner", false),
        ("LicenseRef-*", "MIT", false),
        ("*", "LicenseRef-PublicDomain", true),
        ("*", "GPL-3.0-only WITH GCC-exception-3.1", true),
        ("*", "", false),
        ("*", "All rights reserved", false),
    ] {
        let got = code(&[pattern], &[], license) == "allowed";
        assert_eq!(got, holds, "{pattern} and {license}");
    }
}

#[test]
fn or_later_falls_under_a_later_version() {
    for (pattern, license, holds) in [
        ("GPL-3.0-only", "GPL-2.0-or-later", true),
        ("GPL-2.0-only", "GPL-2.0-or-later", true),
        ("GPL-3.0-or-later", "GPL-2.0-or-later", true),
        ("GPL-2.0-only", "GPL-3.0-or-later", false),
        ("GPL-2.0-or-later", "GPL-2.0-only", false),
        ("LGPL-3.0-only", "GPL-2.0-or-later", false),
        ("Apache-2.0", "Apache-1.0+", true),
    ] {
        let got = code(&[pattern], &[], license) == "allowed";
        assert_eq!(got, holds, "{pattern} and {license}");
    }
}

#[test]
fn unknown_licenses_can_be_allowed() {
    let policy = Policy::new(&["MIT"], &["CC-BY-4.0"], Unstated::Allow).unwrap();
    let judge = |text: &str| policy.judge(&License::read(text));
    let kept = Verdict::Allowed { under: "NOASSERTION".to_owned() };
    assert_eq!(judge(""), kept);
    assert_eq!(judge("my own terms"), kept);
    assert!(!judge("CC-BY-4.0").is_allowed());
    assert!(!judge("0BSD").is_allowed());
}

#[test]
fn sentences_say_what_to_change() {
    let cases = [
        ("", "no license is stated"),
        ("0BSD", "0BSD is not in `allow`"),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0 is denied by `CC-BY-NC-*`"),
        ("CC0-1.0", "CC0-1.0 is in `deny`"),
        (
            "0BSD OR CC-BY-NC-4.0",
            "0BSD is not in `allow`, CC-BY-NC-4.0 is denied by `CC-BY-NC-*` \
             (the license is 0BSD OR CC-BY-NC-4.0)",
        ),
        (
            "my own terms",
            "the license text \"my own terms\" names no license: unknown term at \"my\" \
             (an own license can be written as `LicenseRef-name`)",
        ),
    ];
    for (license, sentence) in cases {
        let (_, got) = judge(&["MIT"], &["CC-BY-NC-*", "CC0-1.0"], license).unwrap_err();
        assert_eq!(got, sentence, "{license}");
    }
}

#[test]
fn every_wrong_pattern_is_a_complaint_with_a_suggestion() {
    let allow = ["MIT", "CC-BY-40", "CC BY 4.0", "CC-BY-NC-SA-3.0-US", "MIT OR 0BSD"];
    let deny = ["CC-YB-*", "CC-*-NC", "mitt", "zzzzzzzzzzz"];
    let errors = Policy::new(&allow, &deny, Unstated::Refuse).unwrap_err();
    let got: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        got,
        [
            "`allow` names \"CC-BY-40\", which is not an SPDX id; did you mean `CC-BY-4.0`?",
            "`allow` names \"CC BY 4.0\", which is not an SPDX id; did you mean `CC-BY-4.0`?",
            "`allow` names \"CC-BY-NC-SA-3.0-US\", which is not an SPDX id; did you mean \
             `LicenseRef-CC-BY-NC-SA-3.0-US`?",
            "`allow` names \"MIT OR 0BSD\", which joins several licenses; list each by itself",
            "`deny` names \"CC-YB-*\", which is no family of SPDX licenses; did you mean \
             `CC-BY-*`?",
            "`deny` names \"CC-*-NC\", but `*` stands alone or in the place of a version, as in \
             `CC-BY-*`",
            "`deny` names \"mitt\", which is not an SPDX id; did you mean `MIT`?",
            "`deny` names \"zzzzzzzzzzz\", which is not an SPDX id",
        ]
    );
    assert_eq!((errors[1].list, errors[1].index), (List::Allow, 2));
    assert_eq!((errors[4].list, errors[4].index), (List::Deny, 0));
}

#[test]
fn order_and_repetition_of_patterns_do_not_matter() {
    let a = policy(&["MIT", "cc-by-4.0", "MIT"], &["0BSD", "CC0-*"]);
    assert_eq!(a, policy(&["CC-BY-4.0", "MIT"], &["CC0-*", "0BSD"]));
}

const IDS: [&str; 5] = ["MIT", "CC-BY-4.0", "CC0-1.0", "0BSD", "GPL-2.0-only"];

/// An expression over `IDS` as nested text, and its value under a set of allowed ids.
fn valued(allowed: u32) -> impl Strategy<Value = (String, bool)> {
    let leaf = (0..IDS.len()).prop_map(move |i| (IDS[i].to_owned(), allowed >> i & 1 == 1));
    leaf.prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), prop::bool::ANY, inner).prop_map(|((a, x), and, (b, y))| match and {
            true => (format!("({a} AND {b})"), x && y),
            false => (format!("({a} OR {b})"), x || y),
        })
    })
}

proptest! {
    #[test]
    fn verdicts_are_the_boolean_value(
        (allowed, (text, value)) in (0u32..32).prop_flat_map(|a| (Just(a), valued(a))),
        by_denying in prop::bool::ANY,
    ) {
        let pick = |on: bool| (0..IDS.len()).filter(move |i| (allowed >> i & 1 == 1) == on);
        let policy = match by_denying {
            false => policy(&pick(true).map(|i| IDS[i]).collect::<Vec<_>>(), &[]),
            true => policy(&["*"], &pick(false).map(|i| IDS[i]).collect::<Vec<_>>()),
        };
        match policy.judge(&License::read(&text)) {
            Verdict::Allowed { under } => {
                prop_assert!(value);
                // What is relied upon is itself allowed, and holds no choice.
                prop_assert!(!under.contains(" OR "));
                let verdict = policy.judge(&License::read(&under));
                prop_assert_eq!(verdict, Verdict::Allowed { under });
            }
            Verdict::Refused { code, sentence } => {
                prop_assert!(!value);
                let want = if by_denying { PolicyRefusal::Denied } else { PolicyRefusal::NotAllowed };
                prop_assert_eq!(code, want);
                prop_assert!(!sentence.is_empty());
            }
        }
    }
}
