//! The functions of `AdTally.Sketch`, and sketches as terms.
//!
//! A sketch is a struct of its bytes, in the one form that [`Sketch::to_bytes`] writes, and of the check value of its
//! secret. So it is a value like any other: equal to those of the same users, kept, sent and collected like them.

use std::cell::RefCell;
use std::time::Instant;

use ad_tally_core::journal::Busy;
use ad_tally_core::sketch::{MergeError, SketchCow, Union};
use ad_tally_core::{Coupon, Secret, Sketch};
use parking_lot::Mutex;
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument};
use crate::encode::{self, Overflowed};
use crate::hot::Index;
use crate::resource::{self, resource};
use crate::steps::{self, Load};

/// A sketch in the making, that only the process which began it has.
pub struct Builder {
    sketch: Mutex<Sketch>,
    secret: Option<Secret>,
}

/// A union in the making, that only the process which began it has: none before its first sketch.
pub struct Uniting(Mutex<Option<Union>>);

resource!(Builder, c"sketch_builder", "a sketch in the making");
resource!(Uniting, c"sketch_uniting", "a union of sketches in the making");

/// Bytes of a sketch that is worked on where the caller runs: registers of precision 14, or in another form as many bytes
/// as take 0.1 ms. A change to a dirty scheduler and back takes longer than to unite dozens of them.
const SMALL: usize = 40 + (1 << 14);

/// The struct that a sketch is.
pub fn term<'a>(env: Env<'a>, sketch: &Sketch) -> Term<'a> {
    let pairs = [
        (atoms::__struct__(), atoms::sketch().encode(env)),
        (atoms::bytes(), encode::binary(env, &sketch.to_bytes())),
        (atoms::secret_check(), sketch.secret_check().encode(env)),
    ];
    Term::map_from_pairs(env, &pairs).unwrap_or_else(|_| unreachable!("the keys are distinct"))
}

/// The fields of a sketch's struct.
struct Fields<'a> {
    of: Term<'a>,
    bytes: &'a [u8],
    secret_check: Option<u64>,
}

impl<'a> Fields<'a> {
    fn read(term: Term<'a>) -> Result<Self, BadArgument> {
        let none = |_| bad_argument::sketch(term, None);
        let field = |name: rustler::Atom| term.map_get(name).map_err(none);
        let bytes: Binary<'a> = field(atoms::bytes())?.decode().map_err(none)?;
        let secret_check = field(atoms::secret_check())?.decode().map_err(none)?;
        if field(atoms::__struct__())? != atoms::sketch().to_term(term.get_env()) {
            return Err(bad_argument::sketch(term, None));
        }
        Ok(Self { of: term, bytes: bytes.as_slice(), secret_check })
    }

    fn sketch(self) -> Result<SketchCow<'a>, BadArgument> {
        let sketch = SketchCow::borrow_bytes(self.bytes).map_err(|error| bad_argument::sketch(self.of, Some(error)))?;
        Ok(sketch.with_secret_check(self.secret_check))
    }
}

/// The sketch that a struct is.
pub fn read(term: Term<'_>) -> Result<SketchCow<'_>, BadArgument> {
    Fields::read(term)?.sketch()
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

/// Gives users to something: how many were taken and how many of those overflowed, or that none was.
type Give<'t> = dyn Fn(&[Coupon]) -> Result<(usize, usize), Busy> + 't;

/// Users of a list, for whatever they are given to.
pub struct Users<'t> {
    coupons: &'t mut Vec<Coupon>,
    secret: Option<&'t Secret>,
    /// Bytes that were hashed for them.
    hashed: usize,
    give: &'t Give<'t>,
}

/// Does something with users that are still to be read, and then given to `give`.
pub fn with_users<R>(secret: Option<&Secret>, give: &Give<'_>, act: impl FnOnce(&mut Users<'_>) -> R) -> R {
    thread_local! {
        static COUPONS: RefCell<Vec<Coupon>> = const { RefCell::new(Vec::new()) };
    }
    COUPONS.with_borrow_mut(|coupons| act(&mut Users { coupons, secret, hashed: 0, give }))
}

impl Load for Users<'_> {
    const ITEM: &'static str = "user";
    type Outcome = Overflowed;

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
    fn apply(&self, overflowed: &mut Overflowed, _go_on: impl FnMut() -> bool) -> usize {
        overflowed.note((self.give)(self.coupons))
    }

    /// Who gives them knows the table.
    fn check_owner(&self, _env: Env<'_>, _overflowed: &Overflowed) -> Result<(), BadArgument> {
        Ok(())
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
        Ok((coupons.len(), 0))
    };
    let (rest, next, _overflowed) =
        with_users(builder.secret.as_ref(), &give, |load| steps::add_from(env, users, from, load))?;
    Ok((rest, next).encode(env))
}

/// Unites the sketches of a list, if that is little work: `{:ok, sketch}` or `{:error, reason}`. Otherwise
/// `{union, rest, index}`, with which `sketch_unite_some` goes on.
#[rustler::nif]
fn sketch_union<'a>(env: Env<'a>, sketches: Term<'a>) -> NifResult<Term<'a>> {
    let mut union = None;
    let (rest, next) = match unite(env, &mut union, sketches, 0, SMALL) {
        Ok(rest) => rest,
        Err(answer) => return answer,
    };
    if rest.is_empty_list()
        && let Some(sketch) = union.as_ref().map(Union::sketch)
        && sketch.bytes_len() <= SMALL
    {
        return Ok((atoms::ok(), term(env, &sketch)).encode(env));
    }
    Ok((resource::make(env, Uniting(Mutex::new(union))), rest, next).encode(env))
}

/// Adds the sketches of a list to a union, as far as time permits: the rest of the list, and the index of that, or
/// `{:error, reason}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_unite_some<'a>(env: Env<'a>, union: Term<'a>, sketches: Term<'a>, from: usize) -> NifResult<Term<'a>> {
    let union: &Uniting = resource::expect(union)?;
    match unite(env, &mut union.0.lock(), sketches, from, usize::MAX) {
        Ok(rest) => Ok(rest.encode(env)),
        Err(answer) => answer,
    }
}

/// Adds the sketches of a list to a union, until the time is up or one has more bytes than `most`: the rest of the list, and
/// the index of that. Or what is to be answered where one is refused.
fn unite<'a>(
    env: Env<'a>,
    union: &mut Option<Union>,
    sketches: Term<'a>,
    from: usize,
    most: usize,
) -> Result<(Term<'a>, usize), NifResult<Term<'a>>> {
    let rest = steps::each(env, sketches, Index(from), "AdTally.Sketch struct", |sketch, index| {
        let fields = Fields::read(sketch).map_err(|error| error.at_index(index))?;
        if fields.bytes.len() > most {
            return Err(Stop::Large(index));
        }
        let sketch = fields.sketch().map_err(|error| error.at_index(index))?;
        match union {
            Some(union) => union.merge(&sketch).map_err(|error| Stop::Refused(Ok(merge_error(env, &error))))?,
            None => *union = Some(Union::new(&sketch)),
        }
        Ok(())
    });
    match rest {
        Ok(rest) => Ok(rest),
        Err(Stop::Large(at)) => Ok((steps::skip(env, sketches.into(), at - from).in_env(env), at)),
        Err(Stop::Refused(answer)) => Err(answer),
    }
}

/// Why a step of a union ends before its time is up.
enum Stop<'a> {
    /// The sketch of that index is large.
    Large(usize),
    /// It is none, or does not unite with those before it.
    Refused(NifResult<Term<'a>>),
}

impl From<BadArgument> for Stop<'_> {
    fn from(error: BadArgument) -> Self {
        Self::Refused(Err(error.into()))
    }
}

/// The union's sketch.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_united<'a>(env: Env<'a>, union: Term<'a>) -> NifResult<Term<'a>> {
    let union: &Uniting = resource::expect(union)?;
    let sketch = union.0.lock().as_ref().map(Union::sketch);
    Ok(sketch.map_or_else(|| atoms::nil().to_term(env), |sketch| term(env, &sketch)))
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

/// The number of users, or nil for a large sketch.
#[rustler::nif]
fn sketch_estimate(sketch: Term<'_>) -> NifResult<Option<f64>> {
    let fields = Fields::read(sketch)?;
    if fields.bytes.len() > SMALL {
        return Ok(None);
    }
    let begin = Instant::now();
    let users = fields.sketch()?.estimate();
    steps::consume_timeslice(sketch.get_env(), begin.elapsed());
    Ok(Some(users))
}

/// The number of users of a large sketch.
#[rustler::nif(schedule = "DirtyCpu")]
fn sketch_estimate_large(sketch: Term<'_>) -> NifResult<f64> {
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
