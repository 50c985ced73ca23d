//! Makes the host ready for a run of very many connections, or says why it is not: all that comes before such a run, in one
//! call.

use std::path::Path;

use super::assessment::Assessment;
use super::host::HostNeed;
use super::host_facts::HostFacts;
use super::host_shortage::HostShortage;
use super::settings::journal::{self, Places};
use super::settings::raise::KernelNeed;
use super::settings::raised::RaisedSettings;
use super::settings::setting::SettingValues;

/// Undoes what a killed run has left, looks what the host allows, and where `is_applying` raises the settings that are too
/// low, by way of `own`, this program. Hold what it gives as long as the run lasts, and let [`RaisedSettings::undo`] end it:
/// the settings are set back then, and however else the process ends.
///
/// `tell` is given a line for each setting that is raised or set back, and for each that would spoil the run and is not
/// raised. Err has everything for which the run must not begin; no setting is raised then.
pub fn make_ready(
    own: &Path,
    places: &Places,
    need: &HostNeed,
    kernel: &KernelNeed,
    is_applying: bool,
    tell: impl Fn(&str) + Send + 'static,
) -> Result<RaisedSettings, Vec<HostShortage>> {
    let one = |shortage: HostShortage| vec![shortage];
    // Before anything is looked at: what it finds raised would be gone in the middle of the run.
    let left = journal::undo_leftovers(places).map_err(|error| one(error.into()))?;
    left.iter().for_each(|line| tell(line));
    let facts = HostFacts::read().map_err(|error| one(error.into()))?;
    let facts = HostFacts {
        settings: SettingValues::read(&places.sys),
        ..facts
    };
    let assessment = Assessment::of(&facts, need, kernel);
    let (raises, warnings) = (assessment.raises.clone(), assessment.warnings());
    let refusals = assessment.refusals(is_applying);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let raises = if is_applying {
        raises
    } else {
        warnings.iter().for_each(|line| tell(line));
        Vec::new()
    };
    RaisedSettings::raise(own, places, &raises, tell).map_err(|error| one(error.into()))
}
