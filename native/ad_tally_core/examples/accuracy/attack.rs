//! Users chosen against the public hash, and the same users under a secret: to inflate an estimate (Reviriego, Adell and
//! Ting, arXiv 2011.10355) or to hold it down (Paterson and Raynal, ePrint 2021/1139).
//!
//! Whoever can compute the hash searches ids for those that suit. To inflate an estimate, that is of all ids searched the
//! one for each register that raises it furthest: at most as many users as registers make the sketch of all ids searched,
//! at one hash for each user they pretend to be. To hold an estimate down, that is the half of all ids that raise a
//! register only to one: however many they are, they look like 1.44 users a register.

use ad_tally_core::sketch::relative_standard_error;
use ad_tally_core::{Coupon, Secret, Sketch};

/// Of the integers below `searched`, for each register the one that raises it furthest.
pub fn inflating(precision: u8, searched: u64) -> Vec<u64> {
    let registers = 1 << precision;
    let mut best: Vec<Option<(u8, u64)>> = vec![None; registers];
    for user in 0..searched {
        let coupon = Coupon::of_integer(user, None);
        let best = &mut best[coupon.register(registers)];
        if best.is_none_or(|(value, _)| value < coupon.value()) {
            *best = Some((coupon.value(), user));
        }
    }
    best.into_iter().flatten().map(|(_, user)| user).collect()
}

/// So many integers that raise no register above one.
pub fn unnoticed(count: usize) -> Vec<u64> {
    (0..).filter(|user| Coupon::of_integer(*user, None).value() == 1).take(count).collect()
}

/// What chosen users look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Attack {
    pub precision: u8,
    pub users: usize,
    /// Without a secret.
    pub open: f64,
    /// With one that whoever chose the users does not know.
    pub secret: f64,
    /// How many times too large (or too small) the estimate without a secret has to be at least.
    pub aim: f64,
}

/// Shows users to a sketch without a secret and to one with a secret.
pub fn attack(precision: u8, users: &[u64], aim: f64) -> Attack {
    let secret = Secret::new(*b"nobody knows it!");
    let estimate = |secret: Option<&Secret>| {
        let mut sketch = Sketch::new(precision, secret.map(Secret::check)).expect("a precision");
        users.iter().for_each(|user| sketch.insert(Coupon::of_integer(*user, secret)));
        sketch.estimate()
    };
    Attack { precision, users: users.len(), open: estimate(None), secret: estimate(Some(&secret)), aim }
}

impl Attack {
    /// How many times as many users as there are the estimate without a secret tells of, or how many times fewer.
    pub fn factor(&self) -> f64 {
        let ratio = self.open / self.users as f64;
        ratio.max(1.0 / ratio)
    }

    /// What is not as it should be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                faults.push(format!("{} chosen users: {what}", self.users));
            }
        };
        let far = self.factor() >= self.aim;
        check(far, format!("{:.0} without a secret, not {} times off", self.open, self.aim));
        let error = self.secret / self.users as f64 - 1.0;
        let close = error.abs() <= 4.0 * relative_standard_error(1 << self.precision);
        check(close, format!("{:.0} under a secret, more than four standard errors off", self.secret));
        faults
    }
}
