//! A plan as a manifest would say it: what was meant, not how it was written.

use super::{Plan, PlannedStage};
use std::{collections::BTreeMap, fmt::Write as _};

impl Plan {
    /// The shortest manifest of this plan. Comments, defaults that were spelled out and `max_dropped` are not in it, nor
    /// where files lie: it says no more than what decides about a run's bytes, and is part of them.
    pub(crate) fn canonical(&self) -> String {
        let mut out = format!("edition = 1\nname = {:?}\nseed = {}\n", self.name, self.seed);
        for stage in &self.stages {
            let _ = write!(out, "\n{}", head(stage));
            if let Some(from) = self.from(stage) {
                let _ = writeln!(out, "from = {from}");
            }
            if !stage.salt.is_empty() {
                let _ = writeln!(out, "salt = {:?}", stage.salt);
            }
            let fields = (stage.entry.fields)();
            let defaults: BTreeMap<&str, &str> =
                fields.iter().filter_map(|field| Some((field.name, field.default.as_deref()?))).collect();
            for (field, value) in stage.settings().filter(|(field, value)| defaults.get(field) != Some(&value.as_str()))
            {
                let _ = writeln!(out, "{field} = {value}");
            }
        }
        out
    }

    /// Writes `from` of a stage: as a list if the kinds of rows decide the ports, else by port.
    fn from(&self, stage: &PlannedStage) -> Option<String> {
        let ports = stage.entry.ports;
        let names = |fed: &[usize]| {
            let names: Vec<String> = fed.iter().map(|&fed| format!("{:?}", self.stages[fed].name)).collect();
            names.join(", ")
        };
        let alike = ports.iter().enumerate().any(|(at, port)| ports[..at].iter().any(|other| other.kind == port.kind));
        if !alike {
            return (!ports.is_empty()).then(|| format!("[{}]", names(&stage.inputs.concat())));
        }
        let fed = ports.iter().zip(&stage.inputs).filter(|(_, fed)| !fed.is_empty());
        let fed: Vec<String> = fed.map(|(port, fed)| format!("{} = [{}]", port.name, names(fed))).collect();
        Some(format!("{{ {} }}", fed.join(", ")))
    }
}

/// A stage's header and verb. The name of a variant at a point of a sweep needs quotes.
pub(crate) fn head(stage: &PlannedStage) -> String {
    let bare = stage.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let name = if bare { stage.name.clone() } else { format!("{:?}", stage.name) };
    format!("[stage.{name}]\ndo = {:?}\n", stage.entry.verb)
}

#[cfg(test)]
mod tests {
    use crate::plan::load;
    use std::{fs, path::Path};

    #[test]
    fn what_was_meant_is_a_manifest_of_the_same_plan() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
        let plan = load(&manifests.join("quickstart.toml"), &["stage.songs.salt=again".into()], None).expect("a plan");
        let (meant, path) = (plan.canonical(), folder.path().join("m.toml"));
        fs::write(&path, &meant).expect("written");
        let again = load(&path, &[], None).unwrap_or_else(|wrong| panic!("{wrong}\n{meant}"));
        assert_eq!((again.digest(), again.canonical()), (plan.digest(), meant.clone()));
        assert!(meant.contains("[stage.mono]\ndo = \"resample\"\nfrom = [\"decoded\"]\n\n"), "a default: {meant}");
        assert!(meant.contains("salt = \"again\"\n") && !meant.contains('#'), "{meant}");
    }

    #[test]
    fn neither_paths_nor_comments_nor_the_points_of_a_guard_are_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let say = |text: &str| {
            let path = folder.path().join("m.toml");
            fs::write(&path, format!("edition = 1\nname = \"m\"\n{text}")).expect("written");
            load(&path, &[], None).unwrap_or_else(|wrong| panic!("{wrong}")).canonical()
        };
        let plain = say(
            "[stage.t]\ndo = \"ingest\"\nroot = \"here\"\n[stage.f]\ndo = \"license\"\nfrom = [\"t\"]\nallow = [\"*\"]\n",
        );
        let other = "# Mine.\n[stage.t]\nroot = \"/there\" # moved\ncorpus = \"folder\"\ndo = \"ingest\"\n\
                     [stage.f]\ndo = \"license\"\nfrom = [\"t\"]\nmax_dropped = 0.5\nallow = [\"*\"]\nexclude = \"list.csv\"\n";
        assert_eq!(say(other), plain);
        assert!(
            plain.ends_with(
                "[stage.t]\ndo = \"ingest\"\n\n[stage.f]\ndo = \"license\"\nfrom = [\"t\"]\nallow = [\"*\"]\n"
            ),
            "{plain}"
        );
    }

    #[test]
    fn ports_of_one_kind_are_named_and_variants_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
        let path = folder.path().join("m.toml");
        let base = manifests.join("quickstart.toml");
        let text = format!("edition = 1\nextends = {base:?}\n[sweep]\n\"stage.songs.top_p\" = [0.5, 0.75]\n");
        fs::write(&path, text).expect("written");
        let meant = load(&path, &[], None).unwrap_or_else(|wrong| panic!("{wrong}")).canonical();
        assert!(meant.contains("[stage.\"songs[top_p=0.5]\"]\ndo = \"sample\"\n"), "{meant}");
        assert!(meant.contains("from = [\"clips\", \"songs[top_p=0.75]\", "), "{meant}");
        assert_eq!(meant.matches("[stage.codec]").count(), 1);
    }
}
