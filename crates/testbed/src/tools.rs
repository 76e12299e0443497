//! The programs that the bed is made of, built by `testbed/tools.sh` out of Go modules.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The folder with etcd, kube-apiserver, kubectl, kwok, registry and the rest.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

static LOCATED: OnceLock<Tools> = OnceLock::new();

impl Tools {
    /// Runs `testbed/tools.sh`, which builds what is missing (minutes when nothing is there yet,
    /// its progress goes to standard error), and takes the folder that it names.
    ///
    /// Blocks: call it on a blocking thread, or through [`Tools::ready`].
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
            bail!("{} ended with {}: its reason stands above", script.display(), output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let folder = text.lines().last().with_context(|| format!("{} named no folder", script.display()))?;
        let tools = Self::at(Path::new(folder))?;
        Ok(LOCATED.get_or_init(|| tools).clone())
    }

    /// [`Tools::locate`] on a blocking thread.
    pub async fn ready() -> Result<Self> {
        tokio::task::spawn_blocking(Self::locate).await?
    }

    /// The tools of a folder that is known already.
    pub fn at(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            bail!("{} is no folder with the test bed's programs", folder.display());
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a program is there: those of Helm, Flux and Argo Rollouts may be missing.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// The CRDs that a controller of another project ships.
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

    /// One program's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The root of the checkout: `HEADWIND_REPOSITORY`, else the checkout around the working directory, else the one this was built in.
///
/// The one this was built in comes last: a target folder may be shared by several checkouts, and Cargo does not rebuild for
/// another path.
pub(crate) fn repository() -> PathBuf {
    let around =
        || std::env::current_dir().ok()?.ancestors().find(|folder| folder.join("testbed/tools.sh").is_file()).map(Path::to_path_buf);
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("HEADWIND_REPOSITORY").map(PathBuf::from).or_else(around).unwrap_or_else(built)
}
