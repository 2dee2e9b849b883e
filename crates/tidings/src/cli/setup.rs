use std::path::PathBuf;

use server::config::{ConfigErrors, ConfigFile, LoadOptions, Loaded, Overrides, load};

use super::failure::{Failure, Result};
use super::{output, profiles};

/// Options that configure a server.
#[derive(clap::Args, Clone)]
pub(crate) struct Setup {
    /// The configuration; without it `./tidings.toml` is used if it is there
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub(crate) config: Option<PathBuf>,
    /// Start from a profile that ships with Tidings, its endpoints at another address where given;
    /// may be repeated
    #[arg(long = "profile", value_name = "NAME[@ADDR]", help_heading = "Configuration")]
    pub(crate) profiles: Vec<String>,
    /// Where to listen for clients (`listen.public`)
    #[arg(long, value_name = "ADDR", help_heading = "Configuration")]
    pub(crate) listen: Option<String>,
    /// Where to listen for publishers and operators (`listen.admin`)
    #[arg(long, value_name = "ADDR", help_heading = "Configuration")]
    pub(crate) admin: Option<String>,
    /// The directory in which events are kept (`broker.dir`)
    #[arg(long, value_name = "DIR", help_heading = "Configuration")]
    pub(crate) data: Option<String>,
    /// The least important level that is logged (`log.level`)
    #[arg(long, value_name = "LEVEL", help_heading = "Configuration")]
    pub(crate) log_level: Option<String>,
}

impl Setup {
    /// What a configuration is made of, the environment aside.
    pub(crate) fn options(&self) -> Result<LoadOptions> {
        let profiles = self.profiles.iter().map(|text| profiles::read(text));
        let profiles = profiles.collect::<Result<_>>()?;
        let Self { config, listen, admin, data, log_level, .. } = self.clone();
        let overrides = Overrides { listen, admin, data, log_level };
        Ok(LoadOptions { profiles, file: ConfigFile::given_or_here(config), overrides })
    }

    /// Reads the configuration.
    pub(crate) fn load(&self) -> Result<Loaded> {
        self.read()?.map_err(|errors| wrong(&errors))
    }

    /// Reads the configuration, whose errors are the caller's to tell.
    pub(crate) fn read(&self) -> Result<std::result::Result<Loaded, ConfigErrors>> {
        Ok(load(&self.options()?, environment()))
    }
}

/// What is wrong with a configuration.
pub(crate) fn wrong(errors: &ConfigErrors) -> Failure {
    Failure::configuration(errors.render(output::is_colourful()))
}

/// The variables that are text; what is not cannot be a setting.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Tells people which file was used and what is odd about the configuration.
pub(crate) fn tell(loaded: &Loaded) {
    if let Some(file) = &loaded.file {
        output::note(&format!("the configuration is {}", file.display()));
    }
    if !loaded.warnings.is_empty() {
        output::error_line(&loaded.warnings.render(output::is_colourful()));
    }
}
