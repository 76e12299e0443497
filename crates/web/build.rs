//! Prepares the assets of the web UI: compresses each one, and puts a hash of its content into its address.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The files that `make ui` writes, relative to this crate.
const BUILT: &str = "assets";
/// The files that people write, relative to this crate.
const WRITTEN: &str = "../../ui";

/// Constant, folder, file, content type.
const ASSETS: &[(&str, &str, &str, &str)] = &[
    ("STYLES", BUILT, "app.css", "text/css; charset=utf-8"),
    ("SCRIPT", WRITTEN, "app.js", "text/javascript; charset=utf-8"),
    ("HTMX", BUILT, "htmx.js", "text/javascript; charset=utf-8"),
    ("SSE", BUILT, "sse.js", "text/javascript; charset=utf-8"),
    ("ICONS", BUILT, "icons.svg", "image/svg+xml"),
    ("FAVICON", WRITTEN, "favicon.svg", "image/svg+xml"),
    ("LICENSES", BUILT, "LICENSES.txt", "text/plain; charset=utf-8"),
];

/// FNV-1a. Changed content gets a new address. The hash need not resist attacks.
fn hash(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn main() -> io::Result<()> {
    let variable = |name: &str| env::var(name).map_err(io::Error::other);
    let (own, out) = (variable("CARGO_MANIFEST_DIR")?, variable("OUT_DIR")?);
    let mut code = String::new();
    let mut all = String::new();
    println!("cargo::rerun-if-changed=build.rs");
    for (constant, folder, file, content_type) in ASSETS {
        let path = Path::new(&own).join(folder).join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let content = fs::read(&path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content)?;
        let compressed = Path::new(&out).join(format!("{file}.gz"));
        fs::write(&compressed, encoder.finish()?)?;
        let (name, extension) = file.split_once('.').unwrap_or((file, "txt"));
        let (path, compressed) = (path.display().to_string(), compressed.display().to_string());
        let address = format!("/assets/{name}.{:016x}.{extension}", hash(&content));
        let written = writeln!(
            code,
            "/// `{file}`\npub(crate) const {constant}: Asset = Asset {{ address: {address:?}, content_type: {content_type:?}, plain: include_bytes!({path:?}), gzip: include_bytes!({compressed:?}) }};"
        );
        written.and_then(|()| write!(all, "{constant}, ")).map_err(io::Error::other)?;
    }
    writeln!(code, "/// Every asset.\nconst ALL: &[Asset] = &[{all}];").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("assets.rs"), code)
}
