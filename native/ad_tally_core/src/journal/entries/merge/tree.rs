//! Which run is next: a tournament of runs by the keys where they are.
//!
//! ```text
//! number 1            the loser of the last match; the winner is beside
//! 2, 3                losers of the matches before
//! ...
//! runs + number       the run of that number
//! ```
//!
//! A run that has won and goes on plays again against the losers on its way up (Knuth, The Art of Computer Programming, 5.4.1). That
//! is one comparison a match, where a heap has two a level.

use super::cursor::Cursor;

/// The key of a run that is over: no key is ordered by that.
const OVER: u128 = u128::MAX;

/// Runs, of which the one with the smallest key wins, and of equal keys the oldest one.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// What the key of each run is ordered by first. Whole keys are compared where these are equal.
    orders: Vec<u128>,
    losers: Vec<u32>,
    winner: usize,
}

impl Tree {
    /// Of runs, each at its first entry, or over.
    pub(super) fn new<S>(cursors: &[Cursor<S>], is_over: &[bool]) -> Self {
        let runs = cursors.len();
        let orders = cursors.iter().zip(is_over).map(|(cursor, over)| if *over { OVER } else { cursor.order() });
        let mut tree = Self { orders: orders.collect(), losers: vec![0; runs], winner: 0 };
        // The winner of each match, from the last ones to the first one.
        let mut winners: Vec<usize> = (0..runs).map(|_| 0).chain(0..runs).collect();
        for at in (1..runs).rev() {
            let (one, other) = (winners[2 * at], winners[2 * at + 1]);
            let (winner, loser) = if tree.is_before(other, one, cursors) { (other, one) } else { (one, other) };
            (winners[at], tree.losers[at]) = (winner, loser as u32);
        }
        tree.winner = winners.get(1).copied().unwrap_or(0);
        tree
    }

    /// The run that is next.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<usize> {
        self.orders.get(self.winner).filter(|order| **order != OVER).map(|_| self.winner)
    }

    /// Whether no other run has the key of the first one.
    #[inline(always)]
    pub(super) fn is_alone<S>(&self, cursors: &[Cursor<S>]) -> bool {
        // Whoever would have won without it has lost to it.
        let own = self.orders[self.winner];
        let mut at = (self.winner + self.orders.len()) / 2;
        while at > 0 {
            let other = self.losers[at] as usize;
            if self.orders[other] == own && cursors[other].rest() == cursors[self.winner].rest() {
                return false;
            }
            at /= 2;
        }
        true
    }

    /// Has the first run play again, now that it has another key, or is over.
    #[inline(always)]
    pub(super) fn replay<S>(&mut self, cursors: &[Cursor<S>], is_over: bool) {
        let mut winner = self.winner;
        self.orders[winner] = if is_over { OVER } else { cursors[winner].order() };
        let mut at = (winner + self.orders.len()) / 2;
        while at > 0 {
            let other = self.losers[at] as usize;
            let has_lost = self.is_before(other, winner, cursors);
            self.losers[at] = if has_lost { winner } else { other } as u32;
            winner = if has_lost { other } else { winner };
            at /= 2;
        }
        self.winner = winner;
    }

    #[inline(always)]
    fn is_before<S>(&self, one: usize, other: usize, cursors: &[Cursor<S>]) -> bool {
        let orders = [self.orders[one], self.orders[other]];
        if orders[0] == orders[1] && orders[0] != OVER {
            return (cursors[one].rest(), one) < (cursors[other].rest(), other);
        }
        orders[0] < orders[1]
    }
}
