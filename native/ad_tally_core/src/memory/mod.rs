//! Lines that are zero and take memory only once they are touched.
//!
//! The first touch of a page is the system's work, whoever does it: of huge pages some milliseconds each where the system has
//! to get them from another one first. Two processes that recorded into a fresh table of a hundred megabytes held their
//! schedulers for a tenth of a second, which whoever makes a table can do ahead ([`Lines::touch`]).

#[cfg(not(loom))]
pub(crate) mod free;

use std::marker::PhantomData;

/// What all zeros are a whole value of, as empty as a new one. Whoever shares it changes it by its atomics only.
///
/// # Safety
/// That it is so. It is aligned to no more than a page and needs no drop.
pub(crate) unsafe trait ZeroIsEmpty: Sync {
    /// An empty one.
    #[cfg(any(loom, not(unix)))]
    fn empty() -> Self;
}

/// The memory of a table: as many lines as it can ever have, of which the system provides those that are used.
pub(crate) struct Lines<L> {
    #[cfg(all(unix, not(loom)))]
    mapping: memmap2::MmapMut,
    #[cfg(not(all(unix, not(loom))))]
    boxed: Box<[L]>,
    count: usize,
    of: PhantomData<L>,
}

#[cfg(all(unix, not(loom)))]
impl<L: ZeroIsEmpty> Lines<L> {
    /// `count` empty lines, or `None` where the system has no room for them. Asks for huge pages where there are any: of
    /// many lines each lies in another page, and finding that takes as long as reading the line.
    pub(crate) fn new(count: usize) -> Option<Self> {
        let bytes = count.checked_mul(size_of::<L>())?;
        let mapping = memmap2::MmapOptions::new().len(bytes.max(size_of::<L>())).no_reserve_swap().map_anon().ok()?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE {
            // Where the system grants none it says so, and all works as well.
            let _ = mapping.advise(memmap2::Advice::HugePage);
        }
        Some(Self { mapping, count, of: PhantomData })
    }

    /// Has the system provide the memory of the first lines now.
    pub(crate) fn touch(&mut self, lines: usize) {
        /// No system has smaller ones.
        const PAGE: usize = 4 << 10;
        let bytes = lines.min(self.count) * size_of::<L>();
        // They are zero and stay so.
        self.mapping[..bytes].chunks_mut(PAGE).for_each(|page| page[0] = 0);
    }

    #[inline(always)]
    pub(crate) fn all(&self) -> &[L] {
        // SAFETY: the mapping is that long, begins at a page, was zeroed by the system, which makes it lines that are
        // empty, and all access to it is by these lines' atomics.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr().cast(), self.count) }
    }

    /// Bytes of it that lie in huge pages, where the system tells.
    pub(crate) fn huge_bytes(&self) -> Option<usize> {
        // A look at all mappings takes milliseconds, and what is smaller than a page has none.
        #[cfg(target_os = "linux")]
        return if self.mapping.len() < HUGE_PAGE {
            Some(0)
        } else {
            huge_bytes(self.mapping.as_ptr().addr(), self.mapping.len())
        };
        #[cfg(not(target_os = "linux"))]
        None
    }
}

/// A mapping of less memory is given back where the table is dropped: gigabytes take the system a tenth of a second, and
/// whoever drops the last reference (a garbage collection, say) has not asked for that.
#[cfg(all(unix, not(loom)))]
const FREED_IN_PLACE: usize = 1 << 20;

#[cfg(all(unix, not(loom)))]
impl<L> Drop for Lines<L> {
    fn drop(&mut self) {
        if self.mapping.len() > FREED_IN_PLACE
            && let Ok(nothing) = memmap2::MmapMut::map_anon(1)
        {
            crate::memory::free::later(std::mem::replace(&mut self.mapping, nothing));
        }
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
const HUGE_PAGE: usize = 2 << 20;

/// The huge pages of all mappings between two addresses, which the system may have cut or joined with others.
#[cfg(all(target_os = "linux", not(loom)))]
fn huge_bytes(begin: usize, length: usize) -> Option<usize> {
    use std::io::{BufRead, BufReader};
    let maps = BufReader::new(std::fs::File::open("/proc/self/smaps").ok()?);
    let (mut inside, mut kibibytes) = (false, 0);
    for line in maps.lines() {
        let line = line.ok()?;
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        if let Some((from, to)) = first.split_once('-')
            && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
        {
            inside = from < begin + length && begin < to;
        } else if inside && let Some(count) = line.strip_prefix("AnonHugePages:") {
            kibibytes += count.trim().trim_end_matches(" kB").parse::<usize>().ok()?;
        }
    }
    // The system may have made one mapping of two that are neighbours.
    Some((kibibytes << 10).min(length.next_multiple_of(HUGE_PAGE)))
}

#[cfg(not(all(unix, not(loom))))]
impl<L: ZeroIsEmpty> Lines<L> {
    pub(crate) fn new(count: usize) -> Option<Self> {
        Some(Self { boxed: (0..count.max(1)).map(|_| L::empty()).collect(), count, of: PhantomData })
    }

    /// The memory is there.
    #[cfg(not(loom))]
    pub(crate) fn touch(&mut self, _lines: usize) {}

    pub(crate) fn all(&self) -> &[L] {
        &self.boxed[..self.count]
    }

    #[cfg(not(loom))]
    pub(crate) fn huge_bytes(&self) -> Option<usize> {
        None
    }
}
