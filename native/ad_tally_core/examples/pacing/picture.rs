//! Spend against target: four campaigns on a day, by three controllers, as an SVG that is legible on light and on dark.

use std::fmt::Write as _;

use super::controllers::{LINKEDIN, MYSTIQUE, NAMES, OURS};
use super::run::run;
use super::world::{MINUTES, NOTHING, Special, World};

const SHOWN: [usize; 3] = [OURS, LINKEDIN, MYSTIQUE];
const CLASSES: [&str; 3] = ["ours", "linkedin", "mystique"];

struct Panel {
    title: &'static str,
    number: u64,
    rate: f64,
    special: Special,
}

const PANELS: [Panel; 4] = [
    Panel { title: "1 request in 2 minutes", number: 7_000_003, rate: 0.5, special: NOTHING },
    Panel { title: "5 requests a minute", number: 7_000_007, rate: 5.0, special: NOTHING },
    Panel { title: "500 requests a minute", number: 7_000_011, rate: 500.0, special: NOTHING },
    Panel {
        title: "50 a minute, a quarter cut at noon",
        number: 7_000_018,
        rate: 50.0,
        special: Special { at_noon: 0.75, ..NOTHING },
    },
];

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 660.0;
const PANEL: (f64, f64) = (330.0, 220.0);
const LEFT: [f64; 2] = [60.0, 460.0];
const TOP: [f64; 2] = [70.0, 370.0];

const STYLE: &str = "\
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.page { fill: #ffffff } .frame { fill: none; stroke: #8c959f }
path { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.grid { stroke: #d8dee4; stroke-width: 1 }
.target { stroke: #57606a; stroke-width: 1.6; stroke-dasharray: 5 4 }
.ours { stroke: #0969da; stroke-width: 2.4 } .linkedin { stroke: #bc4c00 } .mystique { stroke: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #0d1117 } .frame { stroke: #6e7681 } .grid { stroke: #30363d }
.target { stroke: #9ea7b3 } .ours { stroke: #58a6ff } .linkedin { stroke: #f0883e } .mystique { stroke: #bc8cff }
}";

/// The picture.
pub fn svg() -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"What four campaigns have spent by the hour, by three controllers, and their targets\">\n\
         <style>\n{STYLE}\n</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    legend(&mut svg);
    for (at, panel) in PANELS.iter().enumerate() {
        draw(&mut svg, panel, LEFT[at % 2], TOP[at / 2]);
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String) {
    let names = ["target: the traffic that came", NAMES[OURS], NAMES[LINKEDIN], NAMES[MYSTIQUE]];
    let mut left = LEFT[0];
    for (class, name) in ["target"].iter().chain(&CLASSES).zip(names) {
        let (line, text) = (left + 28.0, left + 34.0);
        let _ =
            writeln!(svg, "<path class=\"{class}\" d=\"M{left} 24H{line}\"/><text x=\"{text}\" y=\"28\">{name}</text>");
        left += 70.0 + 6.5 * name.len() as f64;
    }
}

fn draw(svg: &mut String, panel: &Panel, left: f64, top: f64) {
    let (width, height) = PANEL;
    let world = World::new(panel.number, panel.rate, 1, panel.special);
    let days = run(&world, panel.special);
    let place = |minute: f64, share: f64| (left + width * minute / MINUTES as f64, top + height * (1.0 - share));
    let _ = writeln!(svg, "<text class=\"title\" x=\"{left}\" y=\"{}\">{}</text>", top - 10.0, panel.title);
    for hour in (0..=24).step_by(6) {
        let (x, bottom) = place(f64::from(hour) * 60.0, 0.0);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{hour}</text>",
            bottom + 17.0
        );
    }
    for percent in (0..=100).step_by(25) {
        let (_, y) = place(0.0, f64::from(percent) / 100.0);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{left} {y:.1}h{width}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    let _ = writeln!(svg, "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>");
    let (middle, below) = (left + width / 2.0, top + height + 36.0);
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">hour of the day</text>");
    let (side, centre) = (left - 36.0, top + height / 2.0);
    let _ = writeln!(
        svg,
        "<text transform=\"rotate(-90 {side} {centre})\" x=\"{side}\" y=\"{centre}\" text-anchor=\"middle\">% of the budget spent</text>"
    );
    // Shares are of the budget that the day ends with. From noon on the target is what was spent then, by ours, and the rest.
    let traffic = &days[OURS][0].traffic;
    let noon = MINUTES / 2;
    let spent = |name: usize, minute: usize| {
        let share = days[name][0].spent[minute];
        if minute < noon { share / panel.special.at_noon } else { share }
    };
    let target = |minute: usize| {
        if minute < noon {
            return traffic[minute] / panel.special.at_noon;
        }
        if panel.special.at_noon == 1.0 {
            return traffic[minute];
        }
        let (at_noon, part) = (spent(OURS, noon), (traffic[minute] - traffic[noon]) / (1.0 - traffic[noon]));
        at_noon + (1.0 - at_noon) * part
    };
    let line = |share: &dyn Fn(usize) -> f64| {
        let mut path = String::new();
        let (x, y) = place(0.0, 0.0);
        let _ = write!(path, "M{x:.1} {y:.1}");
        for minute in (4..MINUTES).step_by(5) {
            let (x, y) = place(minute as f64 + 1.0, share(minute).min(1.0));
            let _ = write!(path, "L{x:.1} {y:.1}");
        }
        path
    };
    for (class, name) in CLASSES.iter().zip(SHOWN).rev() {
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{}\"/>", line(&|minute| spent(name, minute)));
    }
    let _ = writeln!(svg, "<path class=\"target\" d=\"{}\"/>", line(&target));
}
