//! A program that a supervisor runs: in its own process group, with its output in a file, and (if `setpriv` is
//! available) killed by the kernel if the supervisor is killed.
//!
//! The kernel ties that to the *thread* that started it, so supervisors start programs only on their main thread.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, kill_process, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::process::Child;

use crate::folder::tail;
use crate::protocol::{ProcessId, Signal};

/// Number of log lines to show when a program dies.
pub(crate) const TAIL: usize = 30;

static SETPRIV: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("setpriv")).find(|path| path.is_file()));

/// Returns the command of a program that the kernel kills when this thread ends (if `setpriv` is available).
pub(crate) fn tied(path: &Path) -> Command {
    let Some(setpriv) = &*SETPRIV else { return Command::new(path) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(path);
    command
}

/// A program that runs, or that has ended and was not waited for.
#[derive(Debug)]
pub(crate) struct Program {
    process: ProcessId,
    log: PathBuf,
    pid: Pid,
    child: Child,
}

impl Program {
    /// Starts it. Appends its output to the log.
    pub(crate) fn start<A: AsRef<OsStr>>(
        path: &Path,
        args: impl IntoIterator<Item = A>,
        env: impl IntoIterator<Item = (String, String)>,
        log: &Path,
    ) -> Result<Self> {
        if !path.is_file() {
            bail!("there is no program {}", path.display());
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let out = File::options().create(true).append(true).open(log).with_context(|| format!("opening {}", log.display()))?;
        let mut command = tied(path);
        command.args(args).envs(env).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        let child = tokio::process::Command::from(command).spawn().with_context(|| format!("starting {name}"))?;
        let number = child.id().with_context(|| format!("{name} ended while it was started"))?;
        let pid = i32::try_from(number).ok().and_then(Pid::from_raw).with_context(|| format!("{number} is not a process ID"))?;
        let start = start_time(number).with_context(|| format!("reading when {name} was started"))?;
        Ok(Self { process: ProcessId { name, pid: number, start }, log: log.to_owned(), pid, child })
    }

    pub(crate) fn process(&self) -> &ProcessId {
        &self.process
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Returns a message with the last lines of its log, if it has ended.
    pub(crate) fn obituary(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.epitaph(status))
    }

    pub(crate) fn epitaph(&self, status: ExitStatus) -> String {
        format!("{} ended unexpectedly ({status})\n{}", self.process.name, tail(&self.log, TAIL))
    }

    /// Sends it a signal. Does nothing if it has ended: its parent has not waited for it yet, so no other process can
    /// have its ID.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            let _ = kill_process(self.pid, number(signal));
        }
    }

    /// Kills it with its children, and waits until it is gone.
    pub(crate) async fn end(mut self) {
        if self.child.id().is_some() {
            let _ = kill_process_group(self.pid, rustix::process::Signal::KILL);
            let _ = self.child.wait().await;
        }
    }
}

/// Returns the exit code and the signal of an exit status.
pub(crate) fn parts(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    (status.code(), status.signal())
}

fn number(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Int => rustix::process::Signal::INT,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Cont => rustix::process::Signal::CONT,
    }
}

/// Returns when a process started, in clock ticks since boot: field 22 of its `stat`.
fn start_time(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in brackets, with any characters.
    let rest = stat.rsplit_once(')').context("a stat without a name")?.1;
    rest.split_whitespace().nth(19).context("a stat without a start time")?.parse().context("a start time that is not a number")
}

impl ProcessId {
    /// Returns the current process.
    pub(crate) fn own(name: &str) -> Result<Self> {
        let pid = std::process::id();
        Ok(Self { name: name.to_owned(), pid, start: start_time(pid)? })
    }

    /// Returns true if this process is still alive. A process that ended and was not waited for is not alive.
    pub fn lives(&self) -> bool {
        let zombie = || {
            fs::read_to_string(format!("/proc/{}/stat", self.pid))
                .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
        };
        start_time(self.pid).is_ok_and(|start| start == self.start) && !zombie()
    }

    /// Sends a signal to this process and never to a later one with the same ID: the handle is opened before the start
    /// time is checked.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("not a process ID")?;
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if self.lives() {
            pidfd_send_signal(handle, number(signal)).with_context(|| format!("signalling {} ({})", self.name, self.pid))?;
        }
        Ok(())
    }
}
