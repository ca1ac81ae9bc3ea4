//! What of a flight's budget is for one of its days.

use super::curve::Curve;
use super::plan::{MILLION, Period, PeriodOf, Plan};

/// What a period may spend, in micros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBudget {
    /// What it is to spend: what the controller aims at.
    pub target: u64,
    /// What it never spends more than.
    pub wall: u64,
}

/// The budget of a period, of which `left` micros were left when it began: the plan's budget less what other periods have
/// spent or may still spend.
///
/// A day of a flight is to spend its share of what is left, so that what one day did not spend is spread over all that
/// follow, and never more than `daily_max` times what it would have had of the whole budget. One price it may always spend:
/// a small budget is not whole prices a day. `whole` is the curve of the flight as one period.
#[must_use]
pub fn day_budget(plan: &Plan, whole: &Curve, period: PeriodOf, left: u64) -> DayBudget {
    let (Period::Flight { to, .. }, Some(daily_max)) = (plan.period, plan.daily_max) else {
        return DayBudget { target: left, wall: left };
    };
    let planned = whole.share(period.begin, period.end);
    let rest = whole.share(period.begin, to);
    // The last day has all that is left, and so has one after which no traffic is expected.
    let share = if period.end >= to || rest <= 0.0 { 1.0 } else { planned / rest };
    let most = (plan.budget as f64 * planned * f64::from(daily_max) / f64::from(MILLION)).ceil() as u64;
    let wall = left.min(most.max(plan.price));
    let target = (left as f64 * share.min(1.0)).ceil() as u64;
    DayBudget { target: target.min(wall), wall }
}
