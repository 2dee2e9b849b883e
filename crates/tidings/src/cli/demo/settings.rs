use std::net::{SocketAddr, TcpListener};

use server::config::{
    Access, Config, ConfigErrors, ConfigFile, LoadOptions, Loaded, Overrides, Profile, load,
};

use super::super::profiles;
use super::super::setup::environment;
use super::{Args, ROOT};

/// Few enough that whoever is away for two minutes sees what a gap is.
const KEPT_EVENTS: u32 = 600;
/// Memory for the newest events, from which clients are served whatever is kept: less than all
/// that is kept, so that what is not kept any more is really gone.
const TAIL: &str = "64KiB";
/// Where the example's AI service answers.
const ANSWERER: &str = "http://127.0.0.1:11500/";
/// The variable that holds the key of tokens.
const SECRET: &str = "TIDINGS_SECRET";

/// What the demo's configuration is made of; the same each time that it is read.
pub(super) struct Settings {
    args: Args,
    /// A key for tokens, where the environment has none.
    secret: String,
    profiles: Vec<Placed>,
    admin: SocketAddr,
}

/// A profile, and where its endpoints listen.
struct Placed {
    name: &'static str,
    text: &'static str,
    usual: SocketAddr,
    at: SocketAddr,
}

impl Settings {
    /// Finds a free port for each profile.
    pub(super) fn find(args: Args) -> Result<Self, ConfigErrors> {
        let secret = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut found = Self { args, secret, profiles: Vec::new(), admin: nowhere };
        let config = found.load(None)?.config;
        found.admin = config.listen.admin;
        // All are held until each has one, so that no two get the same.
        let mut held = Vec::new();
        for shipped in profiles::ALL {
            let alone = Profile {
                name: shipped.name.to_owned(),
                text: shipped.text.to_owned(),
                listen: None,
            };
            let usual = usual(&found.read(vec![alone], None)?.config, shipped.name);
            let at = found.place(usual, config.listen.public, &mut held);
            found.profiles.push(Placed { name: shipped.name, text: shipped.text, usual, at });
        }
        Ok(found)
    }

    /// The usual port, where it is free; the public listener serves the profile that shares it.
    fn place(
        &self,
        usual: SocketAddr,
        public: SocketAddr,
        held: &mut Vec<TcpListener>,
    ) -> SocketAddr {
        if usual.port() == server::config::Listen::default().public.port() {
            return public;
        }
        let wanted = if public.port() == 0 { 0 } else { usual.port() };
        let is_taken = [public.port(), self.admin.port()].contains(&wanted);
        let first = (!is_taken || wanted == 0).then_some(wanted);
        let bound = first.into_iter().chain([0]).find_map(|port| {
            let listener = TcpListener::bind(SocketAddr::new(public.ip(), port)).ok()?;
            let address = listener.local_addr().ok()?;
            held.push(listener);
            Some(address)
        });
        bound.unwrap_or(SocketAddr::new(public.ip(), usual.port()))
    }

    /// The admin listener's address, where its port is no free one.
    pub(super) fn known_admin(&self) -> Option<SocketAddr> {
        (self.admin.port() != 0).then_some(self.admin)
    }

    /// What to say of profiles that are not where one would look for them.
    pub(super) fn moved(&self) -> Vec<String> {
        let is_asked_for = |placed: &&Placed| placed.at.port() == placed.usual.port();
        let moved = self.profiles.iter().filter(|placed| !is_asked_for(placed));
        let is_free = self.args.listen.as_ref().is_some_and(|listen| listen.ends_with(":0"));
        let moved = moved.filter(|placed| placed.at.port() != 0 && !is_free);
        moved
            .map(|placed| {
                let Placed { name, usual, at, .. } = placed;
                format!("port {} is taken: {name} listens at {at}", usual.port())
            })
            .collect()
    }

    /// Where a profile listens; its port is 0 where it is that of the public listener, and free.
    pub(super) fn place_of(&self, name: &str) -> Option<SocketAddr> {
        self.profiles.iter().find(|placed| placed.name == name).map(|placed| placed.at)
    }

    /// Reads the configuration; pages of `admin` may use the endpoints.
    pub(super) fn load(&self, admin: Option<SocketAddr>) -> Result<Loaded, ConfigErrors> {
        let profiles = self.profiles.iter().map(|placed| Profile {
            name: placed.name.to_owned(),
            text: placed.text.to_owned(),
            listen: Some(placed.at.to_string()),
        });
        let mut loaded = self.read(profiles.collect(), admin)?;
        open_to_pages(&mut loaded.config, admin);
        Ok(loaded)
    }

    fn read(
        &self,
        profiles: Vec<Profile>,
        admin: Option<SocketAddr>,
    ) -> Result<Loaded, ConfigErrors> {
        let text = configuration(&origins(admin), profiles.iter().any(|p| p.name == "gesture"));
        let overrides = Overrides {
            listen: self.args.listen.clone(),
            admin: self.args.admin.clone(),
            log_level: self.args.log_level.clone(),
            ..Overrides::default()
        };
        let file = ConfigFile::Text { name: "demo.toml".into(), text };
        let mut variables: std::collections::BTreeMap<_, _> = environment().collect();
        variables.entry(SECRET.to_owned()).or_insert_with(|| self.secret.clone());
        load(&LoadOptions { profiles, file, overrides }, variables)
    }
}

/// Where the endpoints of a dialect listen, as the profile has it.
fn usual(config: &Config, dialect: &str) -> SocketAddr {
    let endpoint = config.endpoints.iter().find(|endpoint| endpoint.dialect.as_str() == dialect);
    endpoint.map_or(config.listen.public, |endpoint| config.listener_of(endpoint))
}

fn origins(admin: Option<SocketAddr>) -> Vec<String> {
    admin.map_or_else(Vec::new, |admin| {
        vec![format!("http://{admin}"), format!("http://localhost:{}", admin.port())]
    })
}

/// Profiles know nothing of each other and of the demo: one has a key for tokens, which the others
/// do not ask for, and all let the demo's pages in.
fn open_to_pages(config: &mut Config, admin: Option<SocketAddr>) {
    for endpoint in &mut config.endpoints {
        endpoint.auth.get_or_insert(Access::Optional);
        for origin in origins(admin).iter().filter_map(|origin| origin.parse().ok()) {
            for list in [&mut endpoint.origins, &mut endpoint.cors] {
                if !list.contains(&origin) {
                    list.push(origin.clone());
                }
            }
        }
    }
}

fn configuration(origins: &[String], has_gestures: bool) -> String {
    let answerer = if has_gestures {
        format!(
            "\n[[command]]\nname = \"gesture.ai_infer\"\nto = \"{ANSWERER}\"\ntimeout = \"30s\"\n\
             retry = {{ attempts = 1 }}\n"
        )
    } else {
        String::new()
    };
    format!(
        "[limits]\ntail_bytes = \"{TAIL}\"\n\n\
         [auth.roles.anonymous]\nsubscribe = [\">\"]\n\
         handle = [\"trainer.>\", \"speech.>\", \"gesture.>\"]\n\n\
         [[stream]]\nname = \"{ROOT}\"\ntopics = [\"{ROOT}.>\"]\n\
         retain = {{ count = {KEPT_EVENTS} }}\n\n\
         [[source]]\nkind = \"host\"\nroot = \"{ROOT}\"\ninterval = \"1s\"\n\n\
         [[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"10s\"\norigins = {origins:?}\n{answerer}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str) -> Settings {
        let args = Args { listen: Some(listen.into()), admin: None, log_level: None };
        Settings::find(args).unwrap()
    }

    #[test]
    fn only_the_page_itself_may_connect() {
        let settings = settings("127.0.0.1:0");
        let config = settings.load(Some("127.0.0.1:81".parse().unwrap())).unwrap().config;
        let native = config.endpoints.iter().find(|e| e.path.as_str() == "/v1/ws").unwrap();
        let origins: Vec<_> = native.origins.iter().map(|origin| origin.as_str()).collect();
        assert_eq!(origins, ["http://127.0.0.1:81", "http://localhost:81"]);
        for endpoint in &config.endpoints {
            assert!(native.origins.iter().all(|o| endpoint.origins.contains(o)), "{endpoint:?}");
        }
    }

    #[test]
    fn a_profile_whose_port_is_taken_listens_elsewhere() {
        let of = |settings: &Settings| {
            let placed = settings.profiles.iter().find(|placed| placed.name == "trainer").unwrap();
            (placed.usual, placed.at)
        };
        let (usual, _) = of(&settings("127.0.0.1:1"));
        // It may be taken already, by something else on this machine.
        let _taken = TcpListener::bind(usual);
        let settings = settings("127.0.0.1:1");
        let (_, at) = of(&settings);
        assert_ne!(at.port(), usual.port());
        assert!(settings.moved().iter().any(|said| said.contains(&at.to_string())));
    }

    #[test]
    fn no_two_profiles_share_a_free_port() {
        let settings = settings("127.0.0.1:0");
        let ports: Vec<u16> = settings.profiles.iter().map(|placed| placed.at.port()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
    }
}
