//! How much memory there is, for those who ask before they start.

use std::fs;

/// The memory that this process may use in bytes, where the system says: that of the host, or of its control group.
pub(crate) fn memory() -> Option<u64> {
    let host = fs::read_to_string("/proc/meminfo").ok().and_then(|text| host(&text));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    host.into_iter().chain(group).min()
}

fn host(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_hosts_memory_is_read() {
        assert_eq!(host("MemTotal:       24567890 kB\nMemFree: 1 kB\n"), Some(24_567_890 * 1024));
        assert_eq!(host(""), None);
    }
}
