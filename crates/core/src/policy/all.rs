//! `all`: any higher version, pre-releases included (they are let in before it is asked).

use super::Refused;

#[expect(clippy::unnecessary_wraps, reason = "every policy answers alike")]
pub(super) fn admits() -> Result<(), Refused> {
    Ok(())
}
