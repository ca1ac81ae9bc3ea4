//! What became of an event.

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is admitted (and counted, where that was asked for).
    Admitted,
    /// The rule of that number blocks (of the scope of that number); nothing is counted.
    Capped {
        /// Which scope, 0 where there is one.
        scope: usize,
        /// Which of its rules.
        rule: usize,
    },
    /// It cannot be decided; nothing is counted.
    Refused(Reason),
}

/// Why an event cannot be decided. As numbers they follow those of why a rule blocks: all are counted side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Further ahead of the system's time than events are believed.
    Future = 2,
    /// Further back from the newest time seen than the shortest horizon.
    TooOld,
    /// There is no room for another pair.
    Full,
}
