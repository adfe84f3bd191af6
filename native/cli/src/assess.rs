//! `assess`: a prediction against the truth and the baselines.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_core::source::{ImageSource, MaskSource};
use stfusion_core::Date;
use stfusion_engine::{AssessRequest, DatedImage};

use crate::failure::{Failure, Outcome};
use crate::request;
use crate::signals;
use crate::terminal::Terminal;

/// `stfusion assess`.
pub(crate) fn assess(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let request = request_of(options)?;
    let context = request::context(options, terminal)?;
    signals::catch();
    let assessment = stfusion_engine::assess(&request, &context, &mut terminal.progress())?;
    Ok(if options.get_flag("json") { terminal.result_json(&json!(assessment)) } else { terminal.result(&assessment.to_text()) }?)
}

fn request_of(options: &ArgMatches) -> Outcome<AssessRequest> {
    let names = |id: &str| -> Vec<String> { options.get_many::<String>(id).into_iter().flatten().cloned().collect() };
    let image = |id: &str| names(id).pop().map(ImageSource::file);
    let required =
        |id: &str| image(id).ok_or_else(|| Failure::usage(format!("The {id} is missing"), "Name prediction and truth."));
    let date = |option: &str, text: &str| -> Outcome<Date> {
        text.parse().map_err(|e: stfusion_core::Error| Failure::Usage(e.at(format!("{option} {text}"))))
    };
    let (fine, coarse) = (names("fine"), names("coarse-pair"));
    let dates = names("pair-date").iter().map(|d| date("--pair-date", d)).collect::<Outcome<Vec<_>>>()?;
    let same = |what: &str, n: usize| {
        if n == 0 || n == fine.len() {
            return Ok(());
        }
        Err(Failure::usage(
            format!("{} --fine and {n} {what} were given; expected as many", fine.len()),
            format!("Give one {what} for each --fine, in the same order, or none."),
        ))
    };
    same("--coarse-pair", coarse.len())?;
    same("--pair-date", dates.len())?;
    let preset = names("fine-mask-preset").pop();
    let masks: Vec<_> = names("fine-mask").into_iter().map(|path| MaskSource::file(path, preset.as_deref())).collect();
    same("--fine-mask", masks.len())?;
    let target = image("coarse-target");
    if !coarse.is_empty() && target.is_none() {
        return Err(Failure::usage(
            "--coarse-pair is given without --coarse-target",
            "Give --coarse-target IMAGE, the coarse image of the target day.",
        ));
    }
    let target_date = names("target-date").pop().map(|d| date("--target-date", &d)).transpose()?;
    Ok(AssessRequest {
        prediction: required("prediction")?,
        truth: required("truth")?,
        truth_mask: names("truth-mask").pop().map(|path| MaskSource::file(path, names("truth-mask-preset").pop().as_deref())),
        fine: (fine.into_iter().enumerate())
            .map(|(k, name)| DatedImage {
                date: dates.get(k).copied(),
                image: ImageSource::file(name),
                mask: masks.get(k).cloned(),
            })
            .collect(),
        coarse: coarse.into_iter().map(ImageSource::file).collect(),
        target: target.map(|image| DatedImage { date: target_date, image, mask: None }),
        data_range: options.get_one("data-range").copied(),
        grid: Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_belong_to_their_images_and_share_a_preset() {
        let line = "stfusion assess p.tif t.tif --fine f1.tif --fine f2.tif --fine-mask q1.tif --fine-mask q2.tif --fine-mask-preset s2_scl";
        let fine = parsed(line).unwrap().fine;
        assert_eq!(fine[1].mask, Some(MaskSource::file("q2.tif", Some("s2_scl"))));
    }

    fn parsed(line: &str) -> Outcome<AssessRequest> {
        let matches = crate::command().try_get_matches_from(line.split(' ')).unwrap();
        request_of(matches.subcommand().unwrap().1)
    }

    #[test]
    fn pairs_are_brought_together_in_their_order() {
        let request = parsed(
            "stfusion assess p.tif t.tif --fine f1.tif --fine f2.tif --coarse-pair c1.tif --coarse-pair c2.tif \
             --pair-date 2020-01-01 --pair-date 2020-02-01 --coarse-target c.tif --target-date 2020-01-15",
        )
        .unwrap();
        assert_eq!(request.fine[1].image.name(), "f2.tif");
        assert_eq!(request.fine[1].date.unwrap().to_string(), "2020-02-01");
        assert_eq!(request.coarse[1].name(), "c2.tif");
        assert_eq!(request.target.unwrap().date.unwrap().to_string(), "2020-01-15");
    }

    #[test]
    fn unequal_numbers_are_refused_with_both() {
        let refused = |line: &str| match parsed(line) {
            Err(Failure::Usage(error)) => error,
            other => panic!("{other:?}"),
        };
        let error = refused("stfusion assess p.tif t.tif --fine f1.tif --fine f2.tif --coarse-pair c1.tif --coarse-target c.tif");
        assert!(error.message().contains("2 --fine and 1 --coarse-pair"), "{error}");
        let error = refused("stfusion assess p.tif t.tif --fine f1.tif --coarse-pair c1.tif");
        assert!(error.hint().unwrap().contains("--coarse-target IMAGE"), "{error}");
        let error = refused("stfusion assess p.tif t.tif --fine f1.tif --pair-date 2020-02-30");
        assert!(error.message().contains("--pair-date 2020-02-30: \"2020-02-30\" is not a date"), "{error}");
    }
}
