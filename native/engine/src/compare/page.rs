//! A comparison as one HTML file that needs nothing else: no script, pictures inside, fit to be printed. Skill comes first.

use std::fmt::{self, Display, Write as _};

use stfusion_core::metrics::{Assessment, Scores, Skill};
use stfusion_core::text::{decimals, number};
use stfusion_scene::quicklook::ColourMap;

use super::figures::{BandScale, FoldFigures, MethodFigures};
use super::report::{mib, percent, skill_of, Comparison, MethodScores};
use super::words::band_rmse;

const STYLE: &str = include_str!("page.css");

/// Text of the user's, with what HTML would read as its own made harmless.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The page.
pub(super) fn html(c: &Comparison, figures: &[FoldFigures]) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n<title>Comparison of fusion methods</title>\n");
    let _ = write!(page, "<style>\n{STYLE}</style></head><body>\n{}", head(c));
    page.push_str(&skill(c));
    page.push_str(&accuracy(c));
    page.push_str(&by_fold(c));
    page.push_str(&cost(c));
    page.push_str(&problems(c));
    page.push_str(&maps(c, figures));
    page.push_str(GUIDE);
    page.push_str(&references(c));
    page.push_str(&provenance(c));
    page.push_str("</body></html>\n");
    page
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn head(c: &Comparison) -> String {
    let text = |key: &str| c.provenance[key].as_str().unwrap_or_default().to_string();
    let mut out = format!(
        "<h1>Comparison of fusion methods</h1>\n<p class=\"meta\">Leave one pair out: {}, {}, {} × {} pixels · {} · stfusion {}</p>\n",
        plural(c.folds.len(), "pair"),
        plural(c.bands.len(), "band"),
        c.cols,
        c.rows,
        Escaped(text("created").split('T').next().unwrap_or_default()),
        Escaped(&text("version"))
    );
    let _ = writeln!(out, "<p class=\"verdict\">{}</p>", Escaped(&c.recommendation));
    if !c.warnings.is_empty() {
        out.push_str("<div class=\"warnings\"><b>Please note</b><ul>");
        c.warnings.iter().for_each(|w| {
            let _ = write!(out, "<li>{}</li>", Escaped(w));
        });
        out.push_str("</ul></div>\n");
    }
    out
}

/// A cell of a table: its class and its text.
struct Cell(&'static str, String);

impl Cell {
    fn plain(text: String) -> Self {
        Cell("", text)
    }

    /// Green above zero, red below.
    fn signed(value: Option<f64>) -> Self {
        let class = value.map_or("", |v| {
            if v > 0.0005 {
                "won"
            } else if v < -0.0005 {
                "lost"
            } else {
                ""
            }
        });
        Cell(class, signed(value))
    }

    /// Bold when it is the smallest.
    fn smallest(value: Option<f64>, all: &[Option<f64>], decimals: usize) -> Self {
        let least = all.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        Cell(if value == Some(least) { "best" } else { "" }, number(value, decimals))
    }
}

fn signed(value: Option<f64>) -> String {
    value.map_or_else(
        || "–".into(),
        |v| format!("{v:+.3}").replace("-0.000", "0.000").replace("+0.000", "0.000").replace('-', "−"),
    )
}

/// A table with one row for each scored method.
fn table(c: &Comparison, header: &[String], cells: impl Fn(&MethodScores, &Assessment) -> Vec<Cell>) -> String {
    let mut out = String::from("<div class=\"wide\"><table><tr><th>Method</th>");
    header.iter().for_each(|h| {
        let _ = write!(out, "<th>{}</th>", Escaped(h));
    });
    out.push_str("</tr>\n");
    for (method, scores) in c.scored() {
        let class = if method.baseline { " class=\"baseline\"" } else { "" };
        let _ = write!(out, "<tr{class}><td>{}</td>", Escaped(&method.label));
        for Cell(class, text) in cells(method, scores) {
            let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            let _ = write!(out, "<td{class}>{}</td>", Escaped(&text));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    out
}

fn label_of(c: &Comparison, name: &str) -> String {
    c.methods.iter().find(|m| m.name == name).map_or_else(|| name.into(), |m| m.label.clone())
}

fn skill(c: &Comparison) -> String {
    let mut out = String::from(
        "<h2>Skill against simple baselines</h2>\n<p>1 − RMSE / RMSE of the baseline, over all bands and folds: 1 is perfect, 0 no better \
         than the baseline, and below 0 the baseline is better, so that fusion was not worth running.</p>\n",
    );
    out.push_str(&skill_chart(c));
    let labels: Vec<String> = c.baselines.iter().map(|b| label_of(c, b)).collect();
    let _ = writeln!(out, "<h3>{}</h3>", everything(c));
    let of = |s: Option<&Skill>| Cell::signed(s.and_then(|s| s.skill));
    out.push_str(&table(c, &labels, |_, a| c.baselines.iter().map(|b| of(skill_of(a, b))).collect()));
    if let (Some(strongest), true) = (c.strongest_baseline(), c.bands.len() > 1) {
        let _ = writeln!(
            out,
            "<h3>Band by band, against the strongest baseline ({})</h3>",
            Escaped(&label_of(c, &strongest).to_lowercase())
        );
        out.push_str(&table(c, &c.bands, |_, a| {
            (0..c.bands.len()).map(|b| Cell::signed(skill_of(a, &strongest).and_then(|s| s.skill_per_band[b]))).collect()
        }));
    }
    out
}

fn everything(c: &Comparison) -> &'static str {
    if c.bands.len() > 1 {
        "All bands and folds"
    } else {
        "All folds"
    }
}

const BAR_COLOURS: [&str; 4] = ["#4477aa", "#ccbb44", "#66ccee", "#aa3377"];

/// Bars of the skill against each baseline; the axis goes from −1 to 1, a bar that would leave it ends there.
fn skill_chart(c: &Comparison) -> String {
    const LEFT: f64 = 230.0;
    const HALF: f64 = 250.0;
    const ROOM: f64 = 60.0;
    const BAR: f64 = 14.0;
    const GAP: f64 = 16.0;
    const TOP: f64 = 36.0;
    let methods: Vec<_> = c.scored().filter(|(m, _)| !m.baseline).collect();
    if methods.is_empty() || c.baselines.is_empty() {
        return String::new();
    }
    let zero = LEFT + ROOM + HALF;
    let width = zero + HALF + ROOM;
    let step = BAR * c.baselines.len() as f64 + GAP;
    let bottom = TOP + step * methods.len() as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {h}\" width=\"{width}\" height=\"{h}\" role=\"img\" aria-label=\"Skill of each method\">",
        h = bottom + 24.0
    );
    for (k, baseline) in c.baselines.iter().enumerate() {
        let x = LEFT + 170.0 * k as f64;
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"4\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"14\">{}</text>",
            BAR_COLOURS[k % BAR_COLOURS.len()],
            x + 17.0,
            Escaped(&label_of(c, baseline))
        );
    }
    for tick in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        let (x, colour) = (zero + HALF * tick, if tick == 0.0 { "#777" } else { "#ddd" });
        let _ = write!(svg, "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"{colour}\"/>", TOP - 8.0);
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            tick.to_string().replace('-', "−")
        );
    }
    for (row, (method, scores)) in methods.iter().enumerate() {
        let top = TOP + step * row as f64;
        let middle = top + BAR * c.baselines.len() as f64 / 2.0 + 4.0;
        let _ = write!(
            svg,
            "<text x=\"{LEFT}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            Escaped(&shortened(&method.label, 36))
        );
        for (k, baseline) in c.baselines.iter().enumerate() {
            if let Some(skill) = skill_of(scores, baseline).and_then(|s| s.skill) {
                svg.push_str(&bar(zero, HALF, top + BAR * k as f64, BAR - 3.0, skill, BAR_COLOURS[k % BAR_COLOURS.len()]));
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(zero: f64, half: f64, y: f64, height: f64, skill: f64, colour: &str) -> String {
    let length = half * skill.abs().min(1.0);
    let (x, end, anchor) =
        if skill >= 0.0 { (zero, zero + length + 4.0, "start") } else { (zero - length, zero - length - 4.0, "end") };
    format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>\
         <text x=\"{end:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        y + height - 0.5,
        signed(Some(skill))
    )
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn accuracy(c: &Comparison) -> String {
    let d = c.decimals();
    let header =
        ["predicted", "RMSE", "MAE", "bias", "rRMSE", "R", "R²", "SSIM", "PSNR", "UIQI", "SAM °", "ERGAS"].map(String::from);
    let rmse: Vec<_> = c.scored().map(|(m, _)| m.rmse()).collect();
    let mut out = format!("<h2>Accuracy</h2>\n<h3>{}</h3>\n", everything(c));
    out.push_str(&table(c, &header, |m, a| {
        let s: &Scores = &a.overall.scores;
        let partly = m.folds_scored < c.folds.len();
        let predicted = if partly { format!("{} of {} folds", m.folds_scored, c.folds.len()) } else { percent(m.valid_fraction) };
        let mut cells = vec![Cell::plain(predicted), Cell::smallest(s.rmse, &rmse, d)];
        cells.extend([s.mae, s.bias].map(|v| Cell::plain(number(v, d))));
        cells.extend([s.rrmse, s.r, s.r2, s.ssim].map(|v| Cell::plain(number(v, 3))));
        cells.extend([number(s.psnr, 1), number(s.uiqi, 3)].map(Cell::plain));
        cells.extend([a.overall.sam_deg, a.overall.ergas].map(|v| Cell::plain(number(v, 2))));
        cells
    }));
    if c.bands.len() > 1 {
        let bands = 0..c.bands.len();
        let per_band: Vec<Vec<Option<f64>>> = bands.clone().map(|b| c.scored().map(|(m, _)| band_rmse(m, b)).collect()).collect();
        let d = decimals(&per_band.iter().flatten().copied().collect::<Vec<_>>());
        let bias: Vec<_> = c.scored().flat_map(|(_, a)| a.bands.iter().map(|b| b.scores.bias)).collect();
        let bias_d = decimals(&bias);
        out.push_str("<div class=\"beside\"><div><h3>RMSE</h3>\n");
        out.push_str(&table(c, &c.bands, |m, _| {
            bands.clone().map(|b| Cell::smallest(band_rmse(m, b), &per_band[b], d)).collect()
        }));
        out.push_str("</div><div><h3>Bias</h3>\n");
        out.push_str(&table(c, &c.bands, |_, a| a.bands.iter().map(|b| Cell::plain(number(b.scores.bias, bias_d))).collect()));
        out.push_str("</div><div><h3>R</h3>\n");
        out.push_str(&table(c, &c.bands, |_, a| a.bands.iter().map(|b| Cell::plain(number(b.scores.r, 3))).collect()));
        out.push_str("</div><div><h3>SSIM</h3>\n");
        out.push_str(&table(c, &c.bands, |_, a| a.bands.iter().map(|b| Cell::plain(number(b.scores.ssim, 3))).collect()));
        out.push_str("</div></div>\n");
    }
    out
}

fn by_fold(c: &Comparison) -> String {
    let d = c.decimals();
    let rmse = |m: &MethodScores, f: usize| m.folds[f].scores.as_ref().and_then(|s| s.overall.scores.rmse);
    let folds = 0..c.folds.len();
    let all: Vec<Vec<_>> = folds.clone().map(|f| c.scored().map(|(m, _)| rmse(m, f)).collect()).collect();
    let header: Vec<String> = c.folds.iter().map(|f| f.label.clone()).collect();
    let mut out = String::from("<h2>Fold by fold</h2>\n<p>RMSE over all bands, by the pair that was held back.</p>\n");
    out.push_str(&table(c, &header, |m, _| folds.clone().map(|f| Cell::smallest(rmse(m, f), &all[f], d)).collect()));
    out.push_str("<table class=\"folds\"><tr><th>Held back</th><th>Compared</th><th>Truth</th><th>Coarse image</th></tr>\n");
    for fold in &c.folds {
        let part = (fold.truth_samples > 0).then(|| fold.compared_samples as f64 / fold.truth_samples as f64);
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Escaped(&fold.label),
            percent(part),
            Escaped(&fold.fine),
            Escaped(&fold.coarse)
        );
    }
    out.push_str(
        "</table>\n<p class=\"note\">Compared: the part of the truth's valid samples that every method predicts, on which all are scored.</p>\n",
    );
    out
}

fn cost(c: &Comparison) -> String {
    let header = ["processor s", "wall-clock s", "memory MiB", "predicted from"].map(String::from);
    let mut out = format!(
        "<h2>Time and memory</h2>\n<p>Of one prediction, mean over the folds, with {}. Memory is the engine's estimate for tiles and working \
         arrays, without GDAL's cache.</p>\n",
        plural(c.threads, "thread")
    );
    out.push_str(&table(c, &header, |m, _| {
        let pairs: Vec<usize> = m.folds.iter().map(|f| f.pairs.len()).collect();
        let (least, most) = (pairs.iter().min().copied().unwrap_or(0), pairs.iter().max().copied().unwrap_or(0));
        let from = if least == most { plural(most, "pair") } else { format!("{least} to {}", plural(most, "pair")) };
        [number(m.cpu_seconds, 2), number(m.seconds, 2), mib(m.memory_bytes), from].map(Cell::plain).into()
    }));
    out
}

fn problems(c: &Comparison) -> String {
    let all = c.problems();
    if all.is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>Left out and failed</h2>\n<ul>\n");
    for (name, reason) in all {
        let hint = reason.hint.as_ref().map(|h| format!(" <span class=\"note\">{}</span>", Escaped(h))).unwrap_or_default();
        let _ = writeln!(out, "<li><b>{}</b>: {}{hint}</li>", Escaped(&name), Escaped(&reason.message));
    }
    out.push_str("</ul>\n");
    out
}

fn maps(c: &Comparison, figures: &[FoldFigures]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>Maps and scatter plots</h2>\n<p>");
    if figures.len() < c.folds.len() {
        let _ = write!(out, "{} of {} folds, spread over all. ", figures.len(), c.folds.len());
    }
    if let Some(first) = figures.first().filter(|f| f.bands.len() < c.bands.len()) {
        let _ = write!(out, "The first {} of {} bands. ", first.bands.len(), c.bands.len());
    }
    out.push_str(
        "All maps and plots of a fold share the scale of their band. Errors are prediction − truth: blue is too low, red too high. \
         Scatter plots show the prediction (upwards) against the truth (to the right), dark where there are many pixels; on the line \
         both are equal. Hatched pixels have no value.</p>\n",
    );
    for fold in figures {
        out.push_str(&fold_maps(c, fold));
    }
    out
}

fn fold_maps(c: &Comparison, fold: &FoldFigures) -> String {
    let held = &c.folds[fold.held];
    let mut out = format!("<h3>Held back: {}</h3>\n", Escaped(&held.label));
    let mut said = Vec::new();
    if fold.step > 1 {
        said.push(format!("one row and column in {} is shown", fold.step));
    }
    if let Some(rgb) = fold.rgb {
        let names: Vec<&str> = rgb.iter().map(|&b| c.bands[b].as_str()).collect();
        said.push(format!("composites are {} as red, green, blue", names.join(", ")));
    }
    if !said.is_empty() {
        let _ = writeln!(out, "<p class=\"note\">{}.</p>", Escaped(&capitalised(&said.join("; "))));
    }
    // one band: prediction, error and plot side by side; several: a column for each band, the plots in a second row
    let single = fold.bands.len() == 1;
    let columns = if single { 3 } else { fold.bands.len() + 1 };
    let open = format!("<div class=\"maps\" style=\"grid-template-columns: 9em repeat({columns}, minmax(0, 1fr))\">");
    let _ = write!(out, "{open}<div class=\"name\"><b>Truth</b></div>");
    if let Some(composite) = &fold.truth.composite {
        out.push_str(&image(composite, "composite", "truth, composite"));
    } else if !single {
        out.push_str("<div></div>");
    }
    for (uri, scale) in fold.truth.bands.iter().zip(&fold.bands) {
        let name = &c.bands[scale.band];
        out.push_str(&figure(uri, &format!("truth, {name}"), &format!("{}{}", Escaped(name), legend(scale)), ""));
    }
    out.push_str("</div>\n");
    let rank = |m: &&MethodFigures| c.methods.iter().position(|known| known.name == m.name);
    let mut methods: Vec<&MethodFigures> = fold.methods.iter().collect();
    methods.sort_by_key(rank);
    for method in methods {
        let _ = write!(out, "{open}{}", method_maps(c, fold, method, single));
        out.push_str("</div>\n");
    }
    out
}

fn method_maps(c: &Comparison, fold: &FoldFigures, method: &MethodFigures, single: bool) -> String {
    let scores = c.methods.iter().find(|m| m.name == method.name);
    let of_fold = scores.and_then(|m| m.folds[fold.held].scores.as_ref());
    let label = scores.map_or(method.name.as_str(), |m| m.label.as_str());
    let d = c.decimals();
    let mut out = format!(
        "<div class=\"name\"><b>{}</b>RMSE {}<br>R {}<br>SSIM {}</div>",
        Escaped(label),
        number(of_fold.and_then(|s| s.overall.scores.rmse), d),
        number(of_fold.and_then(|s| s.overall.scores.r), 3),
        number(of_fold.and_then(|s| s.overall.scores.ssim), 3)
    );
    let prediction = method.prediction.composite.as_ref().or(method.prediction.bands.first());
    if let Some(uri) = prediction {
        out.push_str(&image(uri, "prediction", &format!("{label}, prediction")));
    }
    let band_scores = |band: usize| of_fold.and_then(|s| s.bands.get(band)).map(|b| &b.scores);
    for (uri, scale) in method.errors.iter().zip(&fold.bands) {
        let name = &c.bands[scale.band];
        let rmse = number(band_scores(scale.band).and_then(|s| s.rmse), d);
        let caption = format!("error, {}{}", Escaped(name), if single { String::new() } else { format!("<br>RMSE {rmse}") });
        out.push_str(&figure(uri, &format!("{label}, error, {name}"), &caption, ""));
    }
    if !single {
        out.push_str("<div></div><div class=\"note\">prediction (up) against truth (right)</div>");
    }
    for (uri, scale) in method.plots.iter().zip(&fold.bands) {
        let name = &c.bands[scale.band];
        let r = number(band_scores(scale.band).and_then(|s| s.r), 3);
        out.push_str(&figure(uri, &format!("{label}, scatter plot, {name}"), &format!("R {r}"), " class=\"plot\""));
    }
    out
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default() + letters.as_str()
}

fn image(uri: &str, caption: &str, alt: &str) -> String {
    figure(uri, alt, caption, "")
}

fn figure(uri: &str, alt: &str, caption: &str, class: &str) -> String {
    format!("<figure{class}><img src=\"{uri}\" alt=\"{}\"><figcaption>{caption}</figcaption></figure>", Escaped(alt))
}

/// The colour scales of a band: of its values, of its errors, and the ends of the axes of its plots.
fn legend(scale: &BandScale) -> String {
    let stops: Vec<String> = (0..=8)
        .map(|k| {
            let [r, g, b] = ColourMap::Difference.rgb(k as f32 / 8.0);
            format!("rgb({r},{g},{b})")
        })
        .collect();
    let ramp = |colours: &str, ends: &[String]| {
        let ends: String = ends.iter().map(|e| format!("<span>{e}</span>")).collect();
        format!("<span class=\"ramp\" style=\"background: linear-gradient(to right, {colours})\"></span><span class=\"bar\">{ends}</span>")
    };
    let error = short(scale.error);
    format!(
        "{}error{}plots from {} to {}",
        ramp("#000, #fff", &[short(scale.values.0), short(scale.values.1)]),
        ramp(&stops.join(", "), &[format!("−{error}"), "0".into(), format!("+{error}")]),
        short(scale.axes.0),
        short(scale.axes.1)
    )
}

/// A number with three significant digits.
fn short(value: f32) -> String {
    let value = f64::from(value);
    let digits = if value == 0.0 { 0 } else { (2.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize };
    format!("{value:.digits$}").replace('-', "−")
}

const GUIDE: &str = "<h2>How to read this</h2>
<p>Each pair was held back in turn, its fine image as the truth and its coarse image as the target, and predicted from the other pairs. All \
methods of a fold are scored on the same samples. A prediction of your target can rest on one pair more than these, and its day may lie \
further away or in another season: take small differences lightly.</p>
<dl>
<dt>Baselines</dt><dd>What needs no fusion: the fine image of the nearest pair; interpolation between the pairs in time; the fine image plus the change between the coarse images.</dd>
<dt>RMSE, MAE, bias</dt><dd>Root mean square, mean absolute and mean of prediction − truth, in the unit of the images. rRMSE is the RMSE over the mean of the truth.</dd>
<dt>R, R²</dt><dd>Pearson's correlation; coefficient of determination, 1 − squared errors / variance of the truth, which punishes bias and may be negative.</dd>
<dt>SSIM, UIQI</dt><dd>Structural similarity (Wang et al. 2004, mean over windows of 11 × 11 pixels) and universal image quality index (Wang &amp; Bovik 2002): 1 is perfect.</dd>
<dt>PSNR</dt><dd>Peak signal-to-noise ratio in decibels: more is better.</dd>
<dt>SAM, ERGAS</dt><dd>Mean angle between the spectra in degrees, and relative global error (Wald 2000): 0 is perfect.</dd>
<dt>Predicted</dt><dd>Part of the truth's valid samples that the method predicts.</dd>
</dl>
";

fn references(c: &Comparison) -> String {
    let mut out = String::from("<h2>Methods</h2>\n<ul class=\"references\">\n");
    let mut named = Vec::new();
    for method in &c.methods {
        let settings = method.parameters.as_object().is_some_and(|p| !p.is_empty());
        let _ = write!(out, "<li><b>{}</b>", Escaped(&method.label));
        if settings {
            let _ = write!(out, " <span class=\"note\">{}</span>", Escaped(&method.parameters.to_string()));
        }
        if !named.contains(&method.method) {
            for reference in &method.references {
                let citation = reference["citation"].as_str().unwrap_or_default();
                let doi = reference["doi"].as_str().unwrap_or_default();
                let _ = write!(out, "<br>{}", Escaped(citation));
                if !doi.is_empty() {
                    let _ = write!(out, " <a href=\"https://doi.org/{0}\">doi:{0}</a>", Escaped(doi));
                }
            }
            named.push(method.method.clone());
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
    out
}

fn provenance(c: &Comparison) -> String {
    let text = |key: &str| c.provenance[key].as_str().unwrap_or_default().to_string();
    let scale = c.scale.map_or_else(|| "unknown".into(), |s| number(Some(s), 2));
    format!(
        "<h2>Provenance</h2>\n<p class=\"note\">stfusion {}, GDAL {}, {}; {} in {} s. Scale {scale} fine pixels per coarse-pixel side; data range of SSIM and PSNR {}.</p>\n<pre>{}</pre>\n",
        Escaped(&text("version")),
        Escaped(&text("gdal")),
        Escaped(&text("created")),
        plural(c.threads, "thread"),
        number(Some(c.seconds), 1),
        c.data_range,
        Escaped(&format!("{:#}", serde_json::json!({ "pairs": c.provenance["pairs"], "grid": c.provenance["grid"] })))
    )
}
