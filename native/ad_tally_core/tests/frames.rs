//! Frames: what is written is read, and every byte that is changed or missing is found.

use ad_tally_core::codec::{
    Frame, FrameError, FrameWriter, Kind, MAX_FRAME_BYTES, Name, Said, Settings, StreamId, Value, frame_bytes,
};

fn counters() -> Settings {
    let metrics = ["impressions", "Kosten in €"].map(str::to_owned).to_vec();
    Settings::new(
        Kind::Counters,
        [(Name::Seed, Value::Number(7)), (Name::MaxKeys, Value::Number(1_000)), (Name::Metrics, Value::Texts(metrics))],
    )
}

fn caps(tiers: Vec<(u64, u64)>, capacity: u64) -> Settings {
    Settings::new(
        Kind::FrequencyCap,
        [
            (Name::Seed, Value::Number(7)),
            (Name::Capacity, Value::Number(capacity)),
            (Name::MaxCapacity, Value::Number(2_000)),
            (Name::Tiers, Value::Pairs(tiers)),
            (Name::Lifetime, Value::Flag(true)),
            (Name::FingerprintBits, Value::Number(16)),
            (Name::MaxAhead, Value::Number(60_000)),
            (Name::Places, Value::Pairs(vec![(1, 0)])),
            (Name::Newest, Value::Number(0)),
        ],
    )
}

fn attribution(touches: Vec<(String, Said)>, orders: u64) -> Settings {
    let named = |name: &str, said| (name.to_owned(), said);
    let models = vec![named("last_touch", Said::Nothing), named("time_decay", Said::Number(60_000))];
    let conversions = vec![named("käufe", Said::Word("once_per_user".to_owned()))];
    Settings::new(
        Kind::Attribution,
        [
            (Name::Seed, Value::Number(7)),
            (Name::Dimensions, Value::Number(2)),
            (Name::Touches, Value::Named(touches)),
            (Name::Prevail, Value::Flag(true)),
            (Name::Collapse, Value::Flag(false)),
            (Name::Models, Value::Named(models)),
            (Name::Conversions, Value::Named(conversions)),
            (Name::TouchesPerUser, Value::Number(16)),
            (Name::Users, Value::Number(100)),
            (Name::Buckets, Value::Number(38)),
            (Name::Orders, Value::Number(orders)),
            (Name::AdjustableFor, Value::Number(60_000)),
            (Name::MaxKeys, Value::Number(1_000)),
            (Name::Newest, Value::Number(0)),
        ],
    )
}

fn clicks(lookback: u64) -> Vec<(String, Said)> {
    vec![("click".to_owned(), Said::Number(lookback))]
}

fn frames(kind: Kind, settings: &Settings, rows: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut writer = FrameWriter::new(kind, StreamId([9; 16]), settings);
    let mut frames = Vec::new();
    for row in rows {
        if !writer.row(|writer| writer.bytes(row)) {
            frames.push(writer.finish(false));
        }
    }
    frames.push(writer.finish(true));
    frames
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

fn message(bytes: &[u8]) -> String {
    Frame::read(bytes).expect_err("no frame").to_string()
}

#[test]
fn a_frame_is_read_as_it_was_written() {
    for (kind, settings) in [
        (Kind::Counters, counters()),
        (Kind::FrequencyCap, caps(vec![(1_000, 60_000)], 5)),
        (Kind::Attribution, attribution(clicks(5), 100)),
    ] {
        let written = frames(kind, &settings, &[vec![1, 2, 3], vec![4]]);
        let [bytes] = &written[..] else { panic!("one frame, not {}", written.len()) };
        let frame = Frame::read(bytes).expect("a frame");
        assert_eq!((frame.kind, frame.is_last, frame.number, frame.rows), (kind, true, 0, 2));
        assert_eq!((frame.stream, &frame.settings), (StreamId([9; 16]), &settings));
        assert_eq!(frame.payload().bytes("rows", 4), Ok(&[1, 2, 3, 4][..]));
        assert_eq!(frame.expect(kind, &settings), Ok(()));
    }
}

#[test]
fn rows_that_have_no_room_are_those_of_the_next_frame() {
    let rows: Vec<Vec<u8>> = (0..40_u8).map(|row| vec![row; 100_000]).collect();
    let frames = frames(Kind::Counters, &counters(), &rows);
    assert_eq!(frames.len(), 4);
    let mut seen = Vec::new();
    for (number, bytes) in frames.iter().enumerate() {
        assert!(bytes.len() <= MAX_FRAME_BYTES);
        let frame = Frame::read(bytes).expect("a frame");
        assert_eq!((frame.number as usize, frame.is_last), (number, number == 3));
        frame.check_rows(|reader| reader.bytes("row", 100_000).map(|row| seen.push(row.to_vec()))).expect("rows");
    }
    assert_eq!(seen, rows);
}

#[test]
fn rejects_a_frame_with_any_byte_changed_or_cut_off() {
    let bytes = frames(Kind::Counters, &counters(), &[vec![1, 2, 3]]).remove(0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let error = Frame::read(&bytes).expect_err("changed");
            assert!(error.at <= bytes.len(), "{error}");
        }
        let error = Frame::read(&bytes[..at]).expect_err("cut off");
        let needed = if at < 44 { 44 } else { bytes.len() };
        let expected = FrameError::new("length", at, format!("{at} bytes"), format!("{needed} bytes"));
        assert_eq!(error, expected);
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Frame::read(&longer).expect_err("longer").field, "length");
}

#[test]
fn rejects_fields_that_agree_with_the_checksum_and_are_wrong() {
    let bytes = frames(Kind::Counters, &counters(), &[vec![1, 2, 3]]).remove(0);
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        message(&with_checksum(bytes))
    };
    let is = |at, byte, expected: &str| assert_eq!(changed(at, byte), expected);
    is(0, 0, "magic: 00416454616c6c79, expected 89416454616c6c79 (byte 0 of the frame)");
    is(8, 2, "version: 2, expected 1 (byte 8 of the frame)");
    is(
        10,
        0,
        "kind: 0, expected 1 (counters), 2 (reach), 3 (dedupe), 4 (frequency_cap), 5 (attribution), of a pacer 6 (reports), \
         7 (grants) or 8 (plans), or 9 (a report of a meter) (byte 10 of the frame)",
    );
    is(11, 2, "flags: 2, expected 0 or 1 (byte 11 of the frame)");
    is(38, 2, "settings length: 131120, expected at most 131072 (byte 36 of the frame)");
    is(42, 0xff, "payload length: 16711683, expected at most 1048480 (byte 40 of the frame)");
    is(44, 9, "settings: 9, expected 1, the number of the setting seed (byte 44 of the frame)");
    is(63, 17, "metrics: 17 names, expected 1 to 16 (byte 63 of the frame)");
    is(66, 0xff, "metrics: no UTF-8, expected the name of an atom (byte 66 of the frame)");
}

#[test]
fn a_table_takes_no_frame_of_another_configuration() {
    let table = caps(vec![(1_000, 60_000)], 5);
    let refused = |settings: &Settings| {
        let bytes = frames(Kind::FrequencyCap, settings, &[]).remove(0);
        let frame = Frame::read(&bytes).expect("a frame");
        frame.expect(Kind::FrequencyCap, &table).map_err(|error| error.to_string())
    };
    assert_eq!(refused(&caps(vec![(1_000, 60_000)], 900)), Ok(()));
    let expected =
        "tiers: [{1000, 60000}, {60000, 600000}], expected the table's, [{1000, 60000}] (byte 71 of the frame)";
    assert_eq!(refused(&caps(vec![(1_000, 60_000), (60_000, 600_000)], 5)), Err(expected.to_owned()));

    let bytes = frames(Kind::Counters, &counters(), &[]).remove(0);
    let error = Frame::read(&bytes).expect("a frame").expect(Kind::FrequencyCap, &table).expect_err("of another kind");
    assert_eq!(error.to_string(), "kind: counters, expected frequency_cap (byte 10 of the frame)");
}

#[test]
fn the_end_of_a_frame_is_known_from_its_header() {
    let bytes = frames(Kind::Counters, &counters(), &[vec![5; 77]]).remove(0);
    for length in 0..44 {
        assert_eq!(frame_bytes(&bytes[..length]), Ok(44));
    }
    assert_eq!(frame_bytes(&bytes[..44]), Ok(bytes.len()));
    assert_eq!(frame_bytes(&[&bytes[..], &bytes[..]].concat()), Ok(bytes.len()));
    assert!(frame_bytes(b"\x89AdTales").is_err());
}

#[test]
fn rejects_more_or_fewer_rows_than_the_header_says() {
    let bytes = frames(Kind::Counters, &counters(), &[vec![1], vec![2]]).remove(0);
    let rows = |rows: u8| {
        let mut bytes = bytes.clone();
        bytes[32] = rows;
        let bytes = with_checksum(bytes);
        let frame = Frame::read(&bytes).expect("a frame");
        frame.check_rows(|reader| reader.u8("row").map(drop)).map_err(|error| error.to_string())
    };
    assert_eq!(rows(2), Ok(()));
    assert_eq!(rows(3), Err("rows: 3, expected 2, as many as there are (byte 32 of the frame)".to_owned()));
    let end = bytes.len() - 5;
    assert_eq!(rows(1), Err(format!("payload: longer, expected the end after 1 rows (byte {end} of the frame)")));
}

#[test]
fn attribution_takes_no_frame_of_other_touches_and_any_number_of_orders() {
    let bytes = |settings: &Settings| frames(Kind::Attribution, settings, &[]).remove(0);
    let refused = |settings: &Settings, own: &Settings| {
        let bytes = bytes(settings);
        Frame::read(&bytes).expect("a frame").expect(Kind::Attribution, own).err().map(|error| error.to_string())
    };
    let own = attribution(clicks(5), 100);
    assert_eq!(refused(&attribution(clicks(5), 7), &own), None);
    let message = "touches: [click: 6], expected the table's, [click: 5] (byte 62 of the frame)";
    assert_eq!(refused(&attribution(clicks(6), 100), &own).as_deref(), Some(message));
}

#[test]
fn rejects_settings_that_no_attribution_has() {
    let bytes = frames(Kind::Attribution, &attribution(clicks(5), 100), &[]).remove(0);
    let changed = |text: &str, at: usize, byte: u8| {
        let begin = bytes.windows(text.len()).position(|bytes| bytes == text.as_bytes()).expect("a text");
        let mut bytes = bytes.clone();
        bytes[begin + at] = byte;
        let error = Frame::read(&with_checksum(bytes)).expect_err("no frame");
        (error.field, error.reason)
    };
    let is = |text, at, byte, field, reason: &str| assert_eq!(changed(text, at, byte), (field, reason.to_owned()));
    is("click", 5, 0, "touches", "[:click], expected one of touches");
    is("click", 5, 3, "touches", "3, expected 0, 1 or 2");
    is("last_touch", 0, b'f', "models", "[:fast_touch], expected one of models");
    is("time_decay", 10, 0, "models", "[:time_decay], expected one of models");
    is("once_per_user", 0, b'O', "conversions", "[käufe: :Once_per_user], expected one of conversions");
}
