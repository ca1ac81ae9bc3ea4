//! Entries that are not what was written are refused, or are others; nothing panics.

use std::cell::RefCell;

use ad_tally_core::attribution::Change;
use ad_tally_core::journal::{Entry, Restore};
use ad_tally_core::key::integer_words;

use crate::store::{Stored, read};
use crate::told::{Answers, BEGIN, Fact, MINUTE, SECOND, config, convert, tell, touch, user};

/// What a conversion, a posting or another item has, to be changed.
#[derive(Clone)]
enum Kept {
    Latest(u8, u64, u64, Vec<u64>),
    Item(u8, u64, Vec<u8>, Vec<u8>),
}

#[derive(Default)]
struct All(RefCell<Vec<Kept>>);

impl Restore for All {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        let kept = match entry {
            Entry::Latest { table, hash, version, words } => Kept::Latest(table, hash, version, words.to_vec()),
            Entry::Item { table, owner, key, bytes } => Kept::Item(table, owner, key.to_vec(), bytes.to_vec()),
            _ => return Ok(()),
        };
        self.0.borrow_mut().push(kept);
        Ok(())
    }
}

impl Kept {
    fn bits(&self) -> usize {
        match self {
            Self::Latest(.., words) => 64 * words.len(),
            Self::Item(_, _, key, bytes) => 8 * (key.len() + bytes.len()),
        }
    }

    fn flip(&mut self, bit: usize) {
        match self {
            Self::Latest(.., words) => words[bit / 64] ^= 1 << (bit % 64),
            Self::Item(_, _, key, bytes) => {
                let at = bit / 8;
                let byte = if at < key.len() { &mut key[at] } else { &mut bytes[at - key.len()] };
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    fn cut(&mut self) {
        match self {
            Self::Latest(.., words) => _ = words.pop(),
            Self::Item(_, _, key, bytes) => _ = bytes.pop().or_else(|| key.pop()),
        }
    }

    fn entry(&self) -> Entry<'_> {
        match self {
            Self::Latest(table, hash, version, words) => {
                Entry::Latest { table: *table, hash: *hash, version: *version, words }
            }
            Self::Item(table, owner, key, bytes) => Entry::Item { table: *table, owner: *owner, key, bytes },
        }
    }
}

#[test]
fn bits_of_what_is_kept_may_be_others() {
    let stored = Stored::new(&config());
    let attribution = &stored.attribution;
    for number in 0..4_i64 {
        let at = BEGIN + number as u64 * MINUTE;
        touch(attribution, 2 * number, 1, at, 0, 1, 0);
        convert(attribution, number, 1, at + 2 * SECOND, number as u8 % 3, 100, 0);
        // This one comes into its path.
        touch(attribution, 2 * number + 1, 1, at + SECOND, 1, 2, 0);
        let words = integer_words(number);
        let change = Change::Restate(50);
        attribution.adjust(attribution.seed().key(&words), change, at, || 0).expect("a time").expect("an order");
    }
    attribution.link(user(2), user(1)).expect("two users");
    tell(attribution, Fact::Close, &mut Vec::new());
    let run = stored.cut();
    let all = All::default();
    read(&run, &all).expect("entries");
    let (mut refused, mut taken) = (0, 0);
    for kept in all.0.into_inner() {
        let mut changes: Vec<Kept> = (0..kept.bits())
            .step_by(3)
            .map(|bit| {
                let mut changed = kept.clone();
                changed.flip(bit);
                changed
            })
            .collect();
        let mut cut = kept.clone();
        cut.cut();
        changes.push(cut);
        for changed in changes {
            let next = Stored::opened(&config(), 2, ad_tally_core::journal::Config::default());
            let restoring = next.attribution.restoring([]);
            read(&run, &restoring).expect("entries");
            match restoring.restore(changed.entry()) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
            restoring.finish(0);
            drop(Answers::of(&next.attribution));
            while !next.attribution.stop().is_all {}
        }
    }
    assert!(refused > 300 && taken > 300, "{refused} refused, {taken} taken");
}
