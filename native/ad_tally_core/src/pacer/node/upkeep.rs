//! What the server does each second: reservations expire, and money that waited for the disk is free.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::MutexGuard;

use super::Node;
use super::outcome::Kind;
use crate::journal::META_NEWEST;

/// Books that are gone through before somebody else may use the campaigns.
const AT_ONCE: u32 = 512;

/// How much had become pending in each book by some moment, in all: once what was written until then is on disk it may be used
/// again. A total, so that it does no harm to free it twice, or after a later one, or never.
#[derive(Debug, Default)]
pub struct Noted(Vec<(u32, u64)>);

impl Noted {
    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    /// Expires reservations whose time has ended before `now`, and forgets those that need not be remembered, for as long as it
    /// may go on: whether it has come to the end. If not, another call goes on.
    pub fn sweep(&self, now: u64, mut go_on: impl FnMut() -> bool) -> bool {
        self.reach(now);
        let mut at = self.swept.load(Relaxed);
        if let Some(journal) = self.journal.as_ref().filter(|_| at == 0) {
            journal.begin_anyway().meta(META_NEWEST, now);
        }
        let buckets = self.till.reservations.buckets();
        while at < buckets {
            let expired = match &self.journal {
                None => self.till.sweep(at, now, || ()),
                Some(journal) => self.till.sweep(at, now, || Some(journal.begin_anyway())),
            };
            (0..expired).for_each(|_| self.counts.add(Kind::Expired as usize));
            at += 1;
            if at.is_multiple_of(64) && !go_on() {
                break;
            }
        }
        let is_done = at >= buckets;
        self.swept.store(if is_done { 0 } else { at }, Relaxed);
        is_done
    }

    /// What is pending now. To be freed by [`Node::free_pending`] once what was written until now is on disk.
    #[must_use]
    pub fn note_pending(&self) -> Noted {
        let (mut noted, mut next) = (Vec::new(), 1);
        let mut campaigns = self.campaigns.lock();
        loop {
            let end = *campaigns.used_books().end();
            let some = next..=end.min(next + (AT_ONCE - 1));
            let freed = campaigns.freed();
            let pending = some.map(|book| (book, self.till.book(book).totals().pending));
            let pending = pending.filter(|(_, pending)| *pending > 0);
            noted.extend(pending.map(|(book, pending)| (book, pending + freed.get(&book).copied().unwrap_or(0))));
            next += AT_ONCE;
            if next > end {
                return Noted(noted);
            }
            MutexGuard::bump(&mut campaigns);
        }
    }

    /// Frees what was pending.
    pub fn free_pending(&self, noted: &Noted) {
        let mut campaigns = self.campaigns.lock();
        for some in noted.0.chunks(AT_ONCE as usize) {
            MutexGuard::bump(&mut campaigns);
            let freed = campaigns.freed();
            for (book, total) in some {
                let freed = freed.entry(*book).or_default();
                let more = total.saturating_sub(*freed);
                *freed += more;
                self.till.book(*book).free(more);
            }
        }
    }

    /// Writes that the node has ended in order: nothing may be reserved or settled any more. Once that is on disk nothing of what it
    /// had is presumed to be spent at the next start.
    pub fn leave(&self) {
        let Some(journal) = &self.journal else { return };
        let mut campaigns = self.campaigns.lock();
        // Begun under the lock, so that it is in no earlier interval than what it is based on.
        let writing = journal.begin_anyway();
        for campaign in &mut campaigns.all {
            for book in &mut campaign.books {
                let passed = book.written[1];
                self.write_rest(book, passed, Some(&writing));
            }
        }
        writing.meta(super::fold::LEFT, self.begun.load(Relaxed));
    }
}
