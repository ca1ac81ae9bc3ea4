//! Keys: terms to their canonical words and hash.

use std::mem::MaybeUninit;
use std::ptr;

use ad_tally_core::key::{self, KeyFault, MAX_BYTES, SHORT_KEY_WORDS};
use ad_tally_core::{HashedKey, KeyWriter, Seed};
use rustler::Env;

use super::bad_argument::{self, BadArgument};
use super::layout::{Layout, Raw, with_layout};
pub use super::roles::{Hashed, Id, Person, Place, Request, Role, Scope, User};
use super::{interner, read};

/// The seed of a table's options, or a random one.
pub fn seed(value: Option<u64>) -> Seed {
    value.map_or_else(Seed::random, Seed::new)
}

/// The elements of a key, and whether they are those of a tuple: a bare one is another key than a tuple of it.
#[derive(Clone, Copy)]
pub struct Parts<'p, 'a> {
    elements: &'p [Raw<'a>],
    is_tuple: bool,
}

impl<'p, 'a> Parts<'p, 'a> {
    /// Of a tuple of these elements.
    #[inline(always)]
    pub fn of_tuple(elements: &'p [Raw<'a>]) -> Self {
        Self { elements, is_tuple: true }
    }

    /// Of a bare element.
    #[inline(always)]
    pub fn of_one(element: &'p Raw<'a>) -> Self {
        Self { elements: std::slice::from_ref(element), is_tuple: false }
    }

    /// Of a term that is a key.
    #[inline(always)]
    pub fn of<L: Layout>(env: Env<'a>, term: &'p Raw<'a>) -> Self {
        read::tuple::<L>(env, *term).map_or_else(|| Self::of_one(term), Self::of_tuple)
    }

    #[inline(always)]
    fn begin<'r>(self, room: &'r mut [MaybeUninit<u64>]) -> Result<KeyWriter<'r>, KeyFault> {
        if self.is_tuple { KeyWriter::tuple(room, self.elements.len()) } else { Ok(KeyWriter::bare(room)) }
    }
}

/// Writes the words of a key of these elements.
#[inline(always)]
pub fn write_parts<'r, 'a, L: Layout, R: Role>(
    env: Env<'a>,
    room: &'r mut [MaybeUninit<u64>],
    seed: &Seed,
    parts: Parts<'_, 'a>,
) -> Result<HashedKey<'r>, KeyFault> {
    match write_short_key::<L, R>(env, room, seed, parts) {
        // SAFETY: it has written that many words.
        Some((hash, length)) => Ok(HashedKey { hash, words: unsafe { written(room, length) } }),
        None => write_any_key::<L, R>(env, room, seed, parts),
    }
}

/// The first values of a room.
///
/// # Safety
/// They were written.
#[inline(always)]
pub unsafe fn written<T>(room: &[MaybeUninit<T>], length: usize) -> &[T] {
    let values = &room[..length];
    // SAFETY: this function's contract.
    unsafe { &*(ptr::from_ref(values) as *const [T]) }
}

/// Writes a key without long binaries: the hash and how many words. Apart from `write_any_key`, because here nothing is
/// called that takes the writer's address, so that it stays in registers: 4 ns a key instead of 6.
#[inline(always)]
pub fn write_short_key<'a, L: Layout, R: Role>(
    env: Env<'a>,
    room: &mut [MaybeUninit<u64>],
    seed: &Seed,
    parts: Parts<'_, 'a>,
) -> Option<(u64, usize)> {
    // Of a length that the compiler knows.
    let room = room.first_chunk_mut::<SHORT_KEY_WORDS>()?;
    let mut writer = parts.begin(room).ok()?;
    for element in parts.elements {
        if let Some(value) = read::small::<L>(*element) {
            writer.integer(value);
        } else if let Some(bytes) = read::short_binary::<L>(*element) {
            if R::refuses(|| bytes.is_empty()) || !writer.short_bytes(bytes) {
                return None;
            }
        } else if read::is_atom::<L>(env, *element) {
            if R::refuses(|| read::is_nil(*element)) {
                return None;
            }
            writer.atom(interner::hash::<L>(*element)?);
        } else if let Some(value) = read::large::<L>(*element) {
            writer.integer(value);
        } else if let Some(bytes) = read::binary::<L>(env, *element) {
            if R::refuses(|| bytes.is_empty()) || !writer.short_bytes(bytes) {
                return None;
            }
        } else {
            writer.integer(read::integer::<L>(env, *element)?);
        }
    }
    let words = writer.finish();
    Some((seed.hash(R::DOMAIN, words), words.len()))
}

/// Writes any key, or says why it is none.
#[cold]
#[inline(never)]
pub fn write_any_key<'r, 'a, L: Layout, R: Role>(
    env: Env<'a>,
    room: &'r mut [MaybeUninit<u64>],
    seed: &Seed,
    parts: Parts<'_, 'a>,
) -> Result<HashedKey<'r>, KeyFault> {
    let mut writer = parts.begin(room)?;
    for element in parts.elements {
        if let Some(why) = R::NO_EMPTY
            && (read::is_nil(*element) || read::binary::<L>(env, *element).is_some_and(<[u8]>::is_empty))
        {
            return Err(KeyFault::Empty(why));
        }
        if let Some(value) = read::integer::<L>(env, *element) {
            writer.integer(value);
        } else if let Some(bytes) = read::binary::<L>(env, *element) {
            writer.bytes(bytes)?;
        } else if read::is_atom::<L>(env, *element) {
            writer.atom(interner::intern::<L>(env, *element)?);
        } else {
            return Err(KeyFault::Type);
        }
    }
    let words = writer.finish();
    Ok(HashedKey { hash: seed.hash(R::DOMAIN, words), words })
}

/// Reads a key and does something with it.
#[inline(always)]
pub fn with_key<'a, T>(
    env: Env<'a>,
    seed: &Seed,
    term: Raw<'a>,
    act: impl FnOnce(HashedKey<'_>) -> T,
) -> Result<T, BadArgument> {
    with_key_of::<Place, T>(env, seed, term, act)
}

#[inline(always)]
pub fn with_key_of<'a, R: Role, T>(
    env: Env<'a>,
    seed: &Seed,
    term: Raw<'a>,
    act: impl FnOnce(HashedKey<'_>) -> T,
) -> Result<T, BadArgument> {
    with_layout!(L => {
        let parts = Parts::of::<L>(env, &term);
        with_parts::<L, R, T>(env, seed, parts, act).map_err(|fault| bad_argument::key(term.in_env(env), fault))
    })
}

/// Reads a key of these elements and does something with it.
#[inline(always)]
pub fn with_parts<'a, L: Layout, R: Role, T>(
    env: Env<'a>,
    seed: &Seed,
    parts: Parts<'_, 'a>,
    act: impl FnOnce(HashedKey<'_>) -> T,
) -> Result<T, KeyFault> {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    match write_short_key::<L, R>(env, &mut room, seed, parts) {
        // SAFETY: it has written that many words.
        Some((hash, length)) => Ok(act(HashedKey { hash, words: unsafe { written(&room, length) } })),
        None => with_any_key::<L, R, T>(env, seed, parts, act),
    }
}

/// The hash of an id, a scope or a user.
#[inline(always)]
pub fn hash<'a, R: Hashed>(env: Env<'a>, seed: &Seed, term: Raw<'a>) -> Result<u64, BadArgument> {
    with_layout!(L => hash_laid_out::<L, R>(env, seed, term))
}

/// The same where the layout of terms was asked for already.
#[inline(always)]
pub fn hash_laid_out<'a, L: Layout, R: Hashed>(env: Env<'a>, seed: &Seed, term: Raw<'a>) -> Result<u64, BadArgument> {
    match hash_short::<L, R>(seed, term) {
        Some(hash) => Ok(hash),
        None => hash_and_words::<R>(env, seed, term).map(|(hash, _words)| hash),
    }
}

/// Of what ids mostly are: an integer or some bytes that lie where their term does, as those of a UUID do.
#[inline(always)]
pub fn hash_short<L: Layout, R: Hashed>(seed: &Seed, term: Raw<'_>) -> Option<u64> {
    if let Some(value) = read::small::<L>(term) {
        return Some(seed.hash(R::DOMAIN, &key::integer_words(value)));
    }
    let bytes = read::short_binary::<L>(term)?;
    (!R::refuses(|| bytes.is_empty())).then(|| seed.hash_bytes(R::BYTES, bytes))
}

/// The hash of any, and how many words were hashed for it.
#[inline(never)]
pub fn hash_and_words<'a, R: Hashed>(env: Env<'a>, seed: &Seed, term: Raw<'a>) -> Result<(u64, usize), BadArgument> {
    match with_layout!(L => read::binary::<L>(env, term)) {
        Some(bytes) if (1..=MAX_BYTES).contains(&bytes.len()) || bytes.is_empty() && R::NO_EMPTY.is_none() => {
            Ok((seed.hash_bytes(R::BYTES, bytes), bytes.len().div_ceil(size_of::<u64>())))
        }
        _ => with_key_of::<R, _>(env, seed, term, |key| (key.hash, key.words.len())),
    }
}

/// The same of any key, in as much room as it turns out to need.
#[cold]
fn with_any_key<'a, L: Layout, R: Role, T>(
    env: Env<'a>,
    seed: &Seed,
    parts: Parts<'_, 'a>,
    act: impl FnOnce(HashedKey<'_>) -> T,
) -> Result<T, KeyFault> {
    let mut words = SHORT_KEY_WORDS;
    loop {
        let mut room = vec![MaybeUninit::uninit(); words];
        match write_any_key::<L, R>(env, &mut room, seed, parts) {
            Ok(key) => return Ok(act(key)),
            Err(KeyFault::Room(more)) => words = more,
            Err(fault) => return Err(fault),
        }
    }
}
