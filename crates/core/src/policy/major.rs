//! `major`: any higher version.

use super::Refused;

#[expect(clippy::unnecessary_wraps, reason = "every policy answers alike")]
pub(super) fn admits() -> Result<(), Refused> {
    Ok(())
}
