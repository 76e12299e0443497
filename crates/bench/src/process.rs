//! Memory and processor time of a process, from `/proc`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result};

/// The memory of a process, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident (`VmRSS`), with the pages of the program file, which the kernel may drop.
    pub(crate) resident: u64,
    /// Of it, what the process has allocated (`RssAnon`).
    pub(crate) allocated: u64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB ({} allocated)", self.resident, self.allocated)
    }
}

/// The content of `/proc/PID/status`.
impl FromStr for Memory {
    type Err = anyhow::Error;

    fn from_str(status: &str) -> Result<Self> {
        let mebibytes = |name: &str| -> Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name)).with_context(|| name.to_owned())?;
            Ok(line.split_whitespace().nth(1).with_context(|| name.to_owned())?.parse::<u64>()? / 1024)
        };
        Ok(Self { resident: mebibytes("VmRSS:")?, allocated: mebibytes("RssAnon:")? })
    }
}

/// Returns the memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    std::fs::read_to_string(format!("/proc/{pid}/status"))?.parse()
}

/// Returns the processor time of a process so far, in seconds.
pub(crate) fn processor_time(pid: u32) -> Result<f64> {
    seconds(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?, 14)
}

/// Returns the processor time of the processes that this one started and that ended, in seconds.
pub(crate) fn children_time() -> Result<f64> {
    seconds(&std::fs::read_to_string("/proc/self/stat")?, 16)
}

/// Returns the processor time in the content of `/proc/PID/stat`: this field and the next one, user and system, in
/// hundredths of a second. Field 14 is for the process itself, 16 for its children.
fn seconds(stat: &str, field: usize) -> Result<f64> {
    // The second field, the name, may contain anything; the text after the last parenthesis is safe.
    let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks = |place: usize| anyhow::Ok(fields.get(place).context("stat")?.parse::<u32>()?);
    Ok(f64::from(ticks(field - 3)? + ticks(field - 2)?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_and_stat() {
        let status = "Name:\tkeel\nVmRSS:\t   61440 kB\nRssAnon:\t   20490 kB\n";
        assert_eq!(status.parse::<Memory>().unwrap(), Memory { resident: 60, allocated: 20 });
        assert!("Name:\tkeel\n".parse::<Memory>().is_err());
        let stat = "77 (a (b) 9 9) S 1 77 77 0 -1 4194560 900 0 0 0 250 50 15 5 20 0 9 0 4242 0 0";
        assert!((seconds(stat, 14).unwrap() - 3.0).abs() < 1e-9);
        assert!((seconds(stat, 16).unwrap() - 0.2).abs() < 1e-9);
        assert!(seconds("77 keel", 14).is_err());
    }
}
