//! What there are frames of: kinds of tables, messages between pacers, and reports of meters.

/// What kind of table a frame is of, or which message it is, or what report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are the names of tables, messages and reports")]
pub enum Kind {
    Counters = 1,
    Reach = 2,
    Dedupe = 3,
    FrequencyCap = 4,
    Attribution = 5,
    PacerReports = 6,
    PacerGrants = 7,
    PacerPlans = 8,
    MeterReport = 9,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Counters,
        Self::Reach,
        Self::Dedupe,
        Self::FrequencyCap,
        Self::Attribution,
        Self::PacerReports,
        Self::PacerGrants,
        Self::PacerPlans,
        Self::MeterReport,
    ];

    /// The kind in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Reach => "reach",
            Self::Dedupe => "dedupe",
            Self::FrequencyCap => "frequency_cap",
            Self::Attribution => "attribution",
            Self::PacerReports => "pacer_reports",
            Self::PacerGrants => "pacer_grants",
            Self::PacerPlans => "pacer_plans",
            Self::MeterReport => "meter_report",
        }
    }
}
