//! The programs of the test bed, which `testbed/tools.sh` builds from Go modules.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The folder with etcd, kube-apiserver, kubectl, kwok, registry and the others.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

static LOCATED: OnceLock<Tools> = OnceLock::new();

impl Tools {
    /// Runs `testbed/tools.sh`, which builds missing programs (this takes minutes the first time; progress goes to
    /// standard error), and uses the folder that it prints.
    ///
    /// Blocks: call it on a blocking thread, or use [`Tools::ready`].
    pub fn locate() -> Result<Self> {
        if let Some(tools) = LOCATED.get() {
            return Ok(tools.clone());
        }
        let script = repository().join("testbed/tools.sh");
        let output = Command::new("bash")
            .arg(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("running {}", script.display()))?;
        if !output.status.success() {
            bail!("{} ended with {}; see the output above", script.display(), output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let folder = text.lines().last().with_context(|| format!("{} printed no folder", script.display()))?;
        let tools = Self::at(Path::new(folder))?;
        Ok(LOCATED.get_or_init(|| tools).clone())
    }

    /// Runs [`Tools::locate`] on a blocking thread.
    pub async fn ready() -> Result<Self> {
        tokio::task::spawn_blocking(Self::locate).await?
    }

    /// Returns the tools of a known folder.
    pub fn at(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            bail!("{} does not contain the test bed's programs", folder.display());
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns true if a program exists: those of Helm, Flux and Argo Rollouts may be missing.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Returns the CRDs that a controller of another project ships.
    pub(crate) fn crds(&self, controller: &str) -> Result<Vec<Value>> {
        let folder = self.folder.with_file_name("crds").join(controller);
        let files = || -> Result<Vec<PathBuf>> {
            let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
            files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
            files.sort();
            Ok(files)
        };
        let read = |file: &PathBuf| Ok(serde_saphyr::from_str(&std::fs::read_to_string(file)?)?);
        let crds = files().and_then(|files| files.iter().map(read).collect());
        crds.with_context(|| format!("reading the CRDs in {}", folder.display()))
    }

    /// Returns the path of a program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Returns the root of the checkout: `HEADWIND_REPOSITORY`, else the checkout of the working directory, else the one of
/// the build.
///
/// The one of the build comes last: several checkouts may share a target folder, and Cargo does not rebuild for another
/// path.
pub(crate) fn repository() -> PathBuf {
    let around =
        || std::env::current_dir().ok()?.ancestors().find(|folder| folder.join("testbed/tools.sh").is_file()).map(Path::to_path_buf);
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("HEADWIND_REPOSITORY").map(PathBuf::from).or_else(around).unwrap_or_else(built)
}
