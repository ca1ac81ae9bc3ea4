//! A locked bucket and the overflow buckets it goes on in.
//!
//! ```text
//! bucket  entries, number ──> overflow bucket  entries, number ──> overflow bucket  entries
//! ```
//!
//! Overflow buckets have no lock of their own: they belong to whoever has that of the bucket at which their chain begins. A
//! fresh one goes between the bucket and what it was linked to, so that no chain has to be walked for it.

use std::sync::atomic::Ordering::Release;

use super::buckets::{Buckets, Content};
use super::line::{Bucket, Header};
use crate::sync::fence;

/// The most overflow buckets that a reader without the lock follows: it may be led in a circle by a chain that changes.
const DEEPEST: usize = 1 << 10;

/// There is no overflow bucket left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Where an entry lies: in which bucket, and where in it.
pub(crate) type Place<'t, const WORDS: usize = 7> = (&'t Bucket<WORDS>, usize);

/// A bucket whose lock is held until this is dropped, also by a panic: then the header is stored as it is here. Whoever changes
/// words says so first, by [`Chain::change`].
pub(crate) struct Chain<'t, C, const WORDS: usize = 7> {
    buckets: &'t Buckets<C, WORDS>,
    pub(crate) bucket: &'t Bucket<WORDS>,
    pub(crate) header: Header,
    /// The bucket's number.
    pub(crate) at: usize,
}

impl<C: Content<WORDS>, const WORDS: usize> Buckets<C, WORDS> {
    /// Waits for the lock of a bucket.
    #[inline(always)]
    pub(crate) fn lock_bucket(&self, at: usize) -> Chain<'_, C, WORDS> {
        let bucket = self.bucket(at);
        Chain { buckets: self, bucket, header: bucket.lock(), at }
    }

    /// Asks for the memory of the overflow bucket that a bucket is linked to. It need not be locked: of what is read here
    /// nothing but what is fetched depends.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn fetch_overflow(&self, at: usize) {
        let bucket = self.bucket(at);
        if bucket.peek().is_linked() {
            self.overflow_bucket(bucket.overflow_number()).inspect(|overflow| overflow.fetch());
        }
    }

    /// Shows the entries of a bucket and its overflow buckets, empty ones too. Without the lock, they may be of different
    /// moments.
    #[inline(always)]
    pub(crate) fn visit<'t>(
        &'t self,
        bucket: &'t Bucket<WORDS>,
        header: Header,
        mut show: impl FnMut(Place<'t, WORDS>, C::Entry),
    ) {
        self.visit_one(bucket, header.is_linked(), &mut show);
        if header.is_linked() {
            self.visit_overflow(bucket, &mut show);
        }
    }

    #[inline(always)]
    fn visit_one<'t>(
        &'t self,
        bucket: &'t Bucket<WORDS>,
        is_linked: bool,
        show: &mut impl FnMut(Place<'t, WORDS>, C::Entry),
    ) {
        for at in 0..self.content.entries(is_linked) {
            show((bucket, at), self.content.get(bucket, at));
        }
    }

    #[cold]
    #[inline(never)]
    fn visit_overflow<'t>(&'t self, bucket: &'t Bucket<WORDS>, show: &mut impl FnMut(Place<'t, WORDS>, C::Entry)) {
        self.overflow_of(bucket).for_each(|(bucket, is_linked)| self.visit_one(bucket, is_linked, show));
    }

    /// The overflow buckets of one that is linked, and whether each is linked itself.
    pub(crate) fn overflow_of<'t>(
        &'t self,
        bucket: &'t Bucket<WORDS>,
    ) -> impl Iterator<Item = (&'t Bucket<WORDS>, bool)> {
        let next = |of: &Bucket<WORDS>| {
            let bucket = self.overflow_bucket(of.overflow_number())?;
            Some((bucket, bucket.peek().is_linked()))
        };
        std::iter::successors(next(bucket), move |(bucket, is_linked)| is_linked.then(|| next(bucket))?).take(DEEPEST)
    }

    /// Takes overflow buckets back that are no longer linked.
    fn give_back(&self, numbers: Vec<u32>) {
        for bucket in numbers.iter().filter_map(|number| self.overflow_bucket(u64::from(*number))) {
            (0..WORDS).for_each(|word| bucket.set_word(word, 0));
            bucket.set_linked(false);
        }
        if !numbers.is_empty() {
            self.overflow.give_back(numbers);
        }
    }
}

impl<'t, C: Content<WORDS>, const WORDS: usize> Chain<'t, C, WORDS> {
    /// Shows all entries, empty ones too.
    #[inline(always)]
    pub(crate) fn visit(&self, show: impl FnMut(Place<'t, WORDS>, C::Entry)) {
        self.buckets.visit(self.bucket, self.header, show);
    }

    /// The entries that are not empty.
    pub(crate) fn entries(&self) -> Vec<C::Entry> {
        let mut entries = Vec::with_capacity(2 * self.buckets.content.entries(false));
        self.visit(|_, entry| {
            if entry != C::Entry::default() {
                entries.push(entry);
            }
        });
        entries
    }

    /// Shows its buckets, each while the memory of the next one is asked for.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn each_bucket(&self, mut show: impl FnMut(&'t Bucket<WORDS>)) {
        let (mut bucket, mut is_linked) = (self.bucket, self.header.is_linked());
        loop {
            let next = if is_linked { self.buckets.overflow_bucket(bucket.overflow_number()) } else { None };
            next.inspect(|next| next.fetch());
            show(bucket);
            let Some(next) = next else { break };
            (bucket, is_linked) = (next, next.peek().is_linked());
        }
    }

    /// Has readers read again who have read any of it meanwhile. To be called before the first word is set.
    #[inline(always)]
    pub(crate) fn change(&mut self) {
        self.header = self.header.with_change();
        // A reader that sees a word of this change sees the lock too: its fence orders its second read after this one.
        fence(Release);
    }

    /// Sets an entry.
    #[inline(always)]
    pub(crate) fn set(&mut self, (bucket, at): Place<'t, WORDS>, entry: C::Entry) {
        self.change();
        self.buckets.content.set(bucket, at, entry);
    }

    /// Links one more overflow bucket, whose first entry is this one, to a chain that has no empty place.
    pub(crate) fn push_overflow(&mut self, entry: C::Entry) -> Result<(), Full> {
        let (content, bucket, is_linked) = (self.buckets.content, self.bucket, self.header.is_linked());
        let number = u64::from(self.buckets.overflow.take().ok_or(Full)?);
        let Some(more) = self.buckets.overflow_bucket(number) else { return Err(Full) };
        self.change();
        content.set(more, 0, entry);
        more.set_linked(is_linked);
        if is_linked {
            more.set_word(WORDS - 1, bucket.overflow_number());
        } else {
            // The number takes the place of the last entries.
            let displaced = content.entries(true)..content.entries(false);
            displaced.enumerate().for_each(|(to, from)| content.set(more, 1 + to, content.get(bucket, from)));
        }
        bucket.set_word(WORDS - 1, number);
        self.header = self.header.with_linked(true);
        Ok(())
    }

    /// The numbers of its overflow buckets.
    pub(super) fn overflow_numbers(&self) -> Vec<u32> {
        let mut numbers = Vec::new();
        let (mut bucket, mut is_linked) = (self.bucket, self.header.is_linked());
        while is_linked {
            let number = bucket.overflow_number();
            numbers.push(number as u32);
            let Some(next) = self.buckets.overflow_bucket(number) else { break };
            (bucket, is_linked) = (next, next.peek().is_linked());
        }
        numbers
    }

    /// Makes the chain one of just these entries, in as many of the spare overflow buckets as they need. What is left in
    /// `spare` is no longer linked.
    pub(super) fn rewrite_with(&mut self, mut entries: &[C::Entry], spare: &mut Vec<u32>) {
        let content = self.buckets.content;
        self.change();
        let mut bucket = self.bucket;
        self.header = self.header.with_linked(false);
        loop {
            (0..WORDS).for_each(|word| bucket.set_word(word, 0));
            let is_linked = entries.len() > content.entries(false);
            let (here, rest) = entries.split_at(if is_linked { content.entries(true) } else { entries.len() });
            here.iter().enumerate().for_each(|(at, entry)| content.set(bucket, at, *entry));
            if !is_linked {
                break;
            }
            let number = spare.pop().unwrap_or_else(|| unreachable!("entries need no more buckets than they had"));
            bucket.set_word(WORDS - 1, u64::from(number));
            if std::ptr::eq(bucket, self.bucket) {
                self.header = self.header.with_linked(true);
            } else {
                bucket.set_linked(true);
            }
            let next = self.buckets.overflow_bucket(u64::from(number));
            bucket = next.unwrap_or_else(|| unreachable!("it is one of the table's"));
            bucket.set_linked(false);
            entries = rest;
        }
    }

    /// Makes the chain one of just these entries, which are no more than it has, and gives back the overflow buckets that
    /// are no longer needed.
    pub(crate) fn rewrite(&mut self, entries: &[C::Entry]) {
        let mut spare = self.overflow_numbers();
        self.rewrite_with(entries, &mut spare);
        self.buckets.give_back(spare);
    }

    /// Makes the chain one of just these entries, in as many overflow buckets as they need. Nothing has changed if there are
    /// not as many.
    pub(crate) fn replace(&mut self, entries: &[C::Entry]) -> Result<(), Full> {
        let content = self.buckets.content;
        let beyond = entries.len().saturating_sub(content.entries(false));
        // A linked bucket has room for fewer.
        let last = content.entries(false) - content.entries(true);
        let needed = if beyond == 0 { 0 } else { (beyond + last).div_ceil(content.entries(true)).max(1) };
        let mut spare = self.overflow_numbers();
        let had = spare.len();
        while spare.len() < needed {
            match self.buckets.overflow.take() {
                Some(number) => spare.push(number),
                None => {
                    self.buckets.overflow.give_back(spare.drain(had..));
                    return Err(Full);
                }
            }
        }
        self.rewrite_with(entries, &mut spare);
        self.buckets.give_back(spare);
        Ok(())
    }

    /// Gives back overflow buckets that are no longer needed, after entries were emptied.
    pub(crate) fn compact(&mut self) {
        if self.header.is_linked() {
            self.rewrite(&self.entries());
        }
    }

    /// Gives the entries whose hash has the bit of this level to the bucket that comes into being by it, with the same bits
    /// of the policy's.
    pub(super) fn split(&mut self) {
        let level = self.header.level();
        let child = self.at + (self.buckets.first << level) as usize;
        let mut other = self.buckets.lock_bucket(child);
        let (stay, go): (Vec<C::Entry>, Vec<C::Entry>) =
            self.entries().into_iter().partition(|entry| C::low_bits(entry) >> level & 1 == 0);
        other.change();
        other.header = other.header.with_level(level + 1).with_policy(self.header.policy());
        let mut spare = self.overflow_numbers();
        self.rewrite_with(&stay, &mut spare);
        other.rewrite_with(&go, &mut spare);
        self.buckets.give_back(spare);
        self.header = self.header.with_level(level + 1);
    }
}

impl<C, const WORDS: usize> Drop for Chain<'_, C, WORDS> {
    #[inline(always)]
    fn drop(&mut self) {
        self.bucket.unlock(self.header);
    }
}
