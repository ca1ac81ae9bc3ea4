//! Time zones as arguments.

use ad_tally_core::time::{UnknownZone, Zone};
use rustler::{Binary, Term};

use super::bad_argument::{self, BadArgument};

/// Bytes of a name that are read: no name has as many.
const MOST_BYTES: usize = 256;

/// A zone: the name of one, or milliseconds that clocks are ahead of UTC. A name that `zone_check` has not read yet is read from
/// the disk.
pub fn zone(term: Term<'_>) -> Result<Zone, BadArgument> {
    if let Ok(name) = term.decode::<Binary<'_>>() {
        return Ok(named(&name)?);
    }
    let offset = term.decode().map_err(|_| bad_argument::item(term, "time zone or an offset from UTC"))?;
    Ok(Zone::fixed(offset))
}

/// The zone of a name.
pub fn named(name: &[u8]) -> Result<Zone, UnknownZone> {
    Zone::named(&text(name))
}

/// The zone of a name, if it was read before.
pub fn known(name: &[u8]) -> Option<Zone> {
    Zone::known(&text(name))
}

fn text(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&name[..name.len().min(MOST_BYTES)])
}
