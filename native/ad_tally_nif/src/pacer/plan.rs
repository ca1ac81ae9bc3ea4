//! Plans, as `AdTally.Pacer.Plan` has checked them.

use ad_tally_core::pacer::{Pace, Period, Plan};
use rustler::{Atom, NifResult, Term};

use crate::atoms;
use crate::decode::{BadArgument, bad_argument, zone};

/// `{budget, period, zone, pace, daily_max, price}`.
pub fn read(plan: Term<'_>) -> NifResult<Plan> {
    let (budget, period, zone, pace, daily_max, price) = plan.decode().map_err(|_| wrong(plan))?;
    let plan =
        Plan { budget, period: period_of(period)?, zone: zone::zone(zone)?, pace: pace_of(pace)?, daily_max, price };
    plan.check().map_err(BadArgument::from)?;
    Ok(plan)
}

fn wrong(term: Term<'_>) -> BadArgument {
    bad_argument::item(term, "plan that AdTally.Pacer.put/3 has checked")
}

fn period_of(term: Term<'_>) -> Result<Period, BadArgument> {
    if let Ok((name, from, to)) = term.decode::<(Atom, u64, u64)>()
        && name == atoms::flight()
    {
        return Ok(Period::Flight { from, to });
    }
    match term.decode::<Atom>() {
        Ok(name) if name == atoms::daily() => Ok(Period::Daily),
        Ok(name) if name == atoms::lifetime() => Ok(Period::Lifetime),
        _ => Err(wrong(term)),
    }
}

fn pace_of(term: Term<'_>) -> Result<Pace, BadArgument> {
    if let Ok((name, by)) = term.decode::<(Atom, u32)>()
        && name == atoms::front_loaded()
    {
        return Ok(Pace::FrontLoaded(by));
    }
    if let Ok((name, weights)) = term.decode::<(Atom, Vec<u32>)>()
        && name == atoms::traffic()
    {
        return weights.try_into().map(|weights| Pace::Traffic(Box::new(weights))).map_err(|_| wrong(term));
    }
    match term.decode::<Atom>() {
        Ok(name) if name == atoms::asap() => Ok(Pace::Asap),
        Ok(name) if name == atoms::even() => Ok(Pace::Even),
        Ok(name) if name == atoms::learned() => Ok(Pace::Learned),
        _ => Err(wrong(term)),
    }
}
