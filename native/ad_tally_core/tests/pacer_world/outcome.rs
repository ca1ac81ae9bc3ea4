//! What came of runs.

use std::fmt;

#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub runs: u64,
    pub reserved: u64,
    pub confirmed: u64,
    /// Refused for want of money, though more than a little was free.
    pub refused: u64,
    pub budgets: u64,
    pub spent: u64,
    pub overspent: u64,
    pub stranded: u64,
    pub faults: u64,
    pub edits: u64,
    /// A hash of all that has happened, by the end of each minute of a run.
    pub log: Vec<u64>,
}

impl Outcome {
    /// Adds up runs. Their logs stay theirs.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.reserved += other.reserved;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.budgets += other.budgets;
        self.spent += other.spent;
        self.overspent += other.overspent;
        self.stranded += other.stranded;
        self.faults += other.faults;
        self.edits += other.edits;
    }

    pub fn refused_part(&self) -> f64 {
        self.refused as f64 / (self.refused + self.reserved) as f64
    }

    pub fn stranded_part(&self) -> f64 {
        self.stranded as f64 / self.budgets as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs, {} faults, {} edits: {} reserved, {} confirmed, {:.3} % refused though budget was free, {:.3} % stranded, \
             {} of {} spent and {} over (late or above the price)",
            self.runs,
            self.faults,
            self.edits,
            self.reserved,
            self.confirmed,
            100.0 * self.refused_part(),
            100.0 * self.stranded_part(),
            self.spent,
            self.budgets,
            self.overspent
        )
    }
}
