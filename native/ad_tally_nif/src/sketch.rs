//! The functions of `AdTally.Sketch`, and sketches as terms.
//!
//! A sketch is a struct of its bytes, in the one form that [`Sketch::to_bytes`] writes, and of the check value of its
//! secret. So it is a value like any other: equal to those of the same users, kept, sent and collected like them.

use std::cell::RefCell;

use ad_tally_core::sketch::{MergeError, Union};
use ad_tally_core::{Coupon, Secret, Sketch};
use parking_lot::Mutex;
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument};
use crate::encode;
use crate::hot::Index;
use crate::resource::{self, resource};
use crate::steps::{self, Load};

/// A sketch in the making, that only the process which began it has.
pub struct Builder {
    sketch: Mutex<Sketch>,
    secret: Option<Secret>,
}

/// A union in the making, that only the process which began it has.
pub struct Uniting(Mutex<Union>);

resource!(Builder, c"sketch_builder", "a sketch in the making");
resource!(Uniting, c"sketch_uniting", "a union of sketches in the making");

/// The struct that a sketch is.
pub fn term<'a>(env: Env<'a>, sketch: &Sketch) -> Term<'a> {
    let pairs = [
        (atoms::__struct__(), atoms::sketch().encode(env)),
        (atoms::bytes(), encode::binary(env, &sketch.to_bytes())),
        (atoms::secret_check(), sketch.secret_check().encode(env)),
    ];
    Term::map_from_pairs(env, &pairs).unwrap_or_else(|_| unreachable!("the keys are distinct"))
}

/// The sketch that a struct is.
pub fn read(term: Term<'_>) -> Result<Sketch, BadArgument> {
    let field = |name: rustler::Atom| term.map_get(name).map_err(|_| bad_argument::sketch(term, None));
    let bytes: Binary<'_> = field(atoms::bytes())?.decode().map_err(|_| bad_argument::sketch(term, None))?;
    let check: Option<u64> = field(atoms::secret_check())?.decode().map_err(|_| bad_argument::sketch(term, None))?;
    if field(atoms::__struct__())? != atoms::sketch().to_term(term.get_env()) {
        return Err(bad_argument::sketch(term, None));
    }
    let sketch = Sketch::from_bytes(&bytes).map_err(|error| bad_argument::sketch(term, Some(error)))?;
    Ok(sketch.with_secret_check(check))
}

/// The secret that sixteen bytes are, or none. Never shown in an error.
pub fn secret(bytes: Option<Binary<'_>>) -> Option<Secret> {
    bytes.and_then(|bytes| bytes.first_chunk().copied()).map(Secret::new)
}

/// The most bytes that a user has: as many as a binary in a key.
const LONGEST_USER: usize = ad_tally_core::key::MAX_BYTES;
/// Bytes of users that a call hashes at most: 0.1 ms with a secret. Long users fill a call before they are many.
pub const MOST_HASHED: usize = 1 << 18;

/// The coupon of a user, and how many bytes were hashed for it.
#[inline(always)]
pub fn coupon<'a, L: Layout>(
    env: Env<'a>,
    user: Raw<'a>,
    secret: Option<&Secret>,
) -> Result<(Coupon, usize), BadArgument> {
    coupon_if_any::<L>(env, user, secret).ok_or_else(|| bad_argument::user(user.in_env(env)))
}

/// The same of what may be no user.
#[inline(always)]
pub fn coupon_if_any<'a, L: Layout>(env: Env<'a>, user: Raw<'a>, secret: Option<&Secret>) -> Option<(Coupon, usize)> {
    if let Some(bits) = decode::bits::<L>(env, user) {
        return Some((Coupon::of_integer(bits, secret), size_of::<u64>()));
    }
    let bytes = decode::binary::<L>(env, user).filter(|bytes| (1..=LONGEST_USER).contains(&bytes.len()))?;
    Some((Coupon::of_bytes(bytes, secret), bytes.len()))
}

/// `{:error, reason}` for sketches that do not unite.
pub fn merge_error<'a>(env: Env<'a>, error: &MergeError) -> Term<'a> {
    let reason = match error {
        MergeError::DifferentSecret => atoms::different_secret().encode(env),
        MergeError::Coarser { sketch, .. } => (atoms::coarser_precision(), sketch).encode(env),
    };
    (atoms::error(), reason).encode(env)
}

/// Users of a list, for whatever they are given to.
pub struct Users<'t> {
    coupons: &'t mut Vec<Coupon>,
    secret: Option<&'t Secret>,
    /// Bytes that were hashed for them.
    hashed: usize,
    /// Gives them to it: how many overflowed.
    give: &'t dyn Fn(&[Coupon]) -> usize,
}

/// Does something with users that are still to be read, and then given to `give`.
pub fn with_users<R>(
    secret: Option<&Secret>,
    give: &dyn Fn(&[Coupon]) -> usize,
    act: impl FnOnce(&mut Users<'_>) -> R,
) -> R {
    thread_local! {
        static COUPONS: RefCell<Vec<Coupon>> = const { RefCell::new(Vec::new()) };
    }
    COUPONS.with_borrow_mut(|coupons| act(&mut Users { coupons, secret, hashed: 0, give }))
}

impl Load for Users<'_> {
    const ITEM: &'static str = "user";
    type Outcome = usize;

    fn clear(&mut self) {
        self.coupons.clear();
        self.hashed = 0;
    }

    fn len(&self) -> usize {
        self.coupons.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.coupons.len() >= steps::MOST_ITEMS || self.hashed >= MOST_HASHED
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, user: Raw<'a>) -> Result<(), BadArgument> {
        let (coupon, length) = coupon::<L>(env, user, self.secret)?;
        self.coupons.push(coupon);
        self.hashed += length;
        Ok(())
    }

    #[inline(always)]
    fn apply(&self, overflowed: &mut usize, _go_on: impl FnMut() -> bool) -> usize {
        *overflowed += (self.give)(self.coupons);
        self.coupons.len()
    }
}

/// Begins a sketch of no users.
#[rustler::nif]
fn sketch_new<'a>(env: Env<'a>, precision: u8, secret: Option<Binary<'a>>) -> NifResult<Term<'a>> {
    let secret = self::secret(secret);
    let sketch = Sketch::new(precision, secret.as_ref().map(Secret::check)).map_err(BadArgument::from)?;
    Ok(resource::make(env, Builder { sketch: Mutex::new(sketch), secret }))
}

/// Inserts users of a list, as far as time permits: the rest of the list, and the index of that.
#[rustler::nif]
fn sketch_insert_some<'a>(env: Env<'a>, builder: Term<'a>, users: Term<'a>, from: usize) -> NifResult<Term<'a>> {
    let builder: &Builder = resource::expect(builder)?;
    let give = |coupons: &[Coupon]| {
        let mut sketch = builder.sketch.lock();
        coupons.iter().for_each(|coupon| sketch.insert(*coupon));
        0
    };
    let (rest, next, _overflowed) =
        with_users(builder.secret.as_ref(), &give, |load| steps::add_from(env, users, from, load))?;
    Ok((rest, next).encode(env))
}

/// Begins a union with the first sketch of a list.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_unite<'a>(env: Env<'a>, sketch: Term<'a>) -> NifResult<Term<'a>> {
    let first = read(sketch).map_err(|error| error.at_index(0))?;
    Ok(resource::make(env, Uniting(Mutex::new(Union::new(&first)))))
}

/// Adds the sketches of a list to it, as far as time permits: the rest of the list, and the index of that, or
/// `{:error, reason}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_unite_some<'a>(env: Env<'a>, union: Term<'a>, sketches: Term<'a>, from: usize) -> NifResult<Term<'a>> {
    let union: &Uniting = resource::expect(union)?;
    let mut union = union.0.lock();
    let rest = steps::each(env, sketches, Index(from), "AdTally.Sketch struct", |sketch, index| {
        let sketch = read(sketch).map_err(|error| error.at_index(index))?;
        union.merge(&sketch).map_err(Fault::Different)
    });
    match rest {
        Ok(rest) => Ok(rest.encode(env)),
        Err(Fault::Different(error)) => Ok(merge_error(env, &error)),
        Err(Fault::Refused(error)) => Err(error.into()),
    }
}

/// Why a union ends before its last sketch.
enum Fault {
    /// The sketch is none.
    Refused(BadArgument),
    /// It is one that does not unite with those before it.
    Different(MergeError),
}

impl From<BadArgument> for Fault {
    fn from(error: BadArgument) -> Self {
        Self::Refused(error)
    }
}

/// The union's sketch.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_united<'a>(env: Env<'a>, union: Term<'a>) -> NifResult<Term<'a>> {
    let union: &Uniting = resource::expect(union)?;
    let sketch = union.0.lock().sketch();
    Ok(term(env, &sketch))
}

/// What it has become.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_finish<'a>(env: Env<'a>, builder: Term<'a>) -> NifResult<Term<'a>> {
    let builder: &Builder = resource::expect(builder)?;
    Ok(term(env, &builder.sketch.lock()))
}

/// `{:ok, sketch}`, or `{:error, field, message}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_from_binary<'a>(env: Env<'a>, bytes: Binary<'a>, secret: Option<Binary<'a>>) -> NifResult<Term<'a>> {
    match Sketch::from_bytes(&bytes) {
        Ok(sketch) => {
            let check = self::secret(secret).as_ref().map(Secret::check);
            Ok((atoms::ok(), term(env, &sketch.with_secret_check(check))).encode(env))
        }
        Err(error) => {
            let field = rustler::Atom::from_str(env, &error.field().replace(' ', "_"))?;
            Ok((atoms::error(), field, error.to_string()).encode(env))
        }
    }
}

/// The number of users.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_estimate(sketch: Term<'_>) -> NifResult<f64> {
    Ok(read(sketch)?.estimate())
}

/// Between which numbers of users the true one lies.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_bounds(sketch: Term<'_>, deviations: u8) -> NifResult<(f64, f64)> {
    Ok(read(sketch)?.bounds(deviations))
}

/// The users that two sketches have in common, as `{estimate, low, high}`, or `{:error, reason}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_overlap<'a>(env: Env<'a>, one: Term<'a>, other: Term<'a>, deviations: u8) -> NifResult<Term<'a>> {
    Ok(match read(one)?.overlap(&read(other)?, deviations) {
        Ok(overlap) => (overlap.estimate, overlap.low, overlap.high).encode(env),
        Err(error) => merge_error(env, &error),
    })
}
