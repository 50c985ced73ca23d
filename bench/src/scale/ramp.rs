//! The engine and all its connections: opened step by step, with memory looked at on the way, until all are there or something
//! stops it.

use std::time::{Duration, Instant};

use super::memory::MemoryLook;
use super::options::ScaleOptions;
use super::quiet::QuietMarket;
use crate::control::{ChildError, Went};
use crate::crowd::crowds::{Crowd, CrowdError, CrowdTotals};
use crate::crowd::look::{Between, Look};
use crate::crowd::order::{self, CrowdOrder, Role};
use crate::crowd::scene::{Engine, Market};
use crate::fleet::opening::OPENING_TIME_MAX;
use crate::probe::machine::MachineSample;
use crate::probe::trouble::HostWatch;
use crate::run::progress::Progress;
use crate::run::{Own, RunError};
use crate::storm::trial::wait;

/// What progress calls the server.
pub const SERVER: &str = "engine";

/// Memory that is left to everything else on the host, bytes: with less it is stopped.
const RESERVE_BYTES: u64 = 512 * 1024 * 1024;

/// How long opening may take; a process of the load gives up a little earlier, and says why.
const OPEN_PATIENCE: Duration = Duration::from_secs(OPENING_TIME_MAX.as_secs() + 30);

/// How often it is looked at whether something stops it.
const STEP: Duration = Duration::from_millis(250);

/// How long the first connections are alone, for the zero of latencies, and then for what events are like without a load.
const ALONE: Duration = Duration::from_secs(2);

/// How long memory is left to settle behind the first tenth.
const TENTH_SETTLE: Duration = Duration::from_secs(1);

/// How often the engine tells its counts.
const STATS: &str = "1s";

/// An engine with its connections.
#[derive(Debug)]
pub struct Stage {
    /// The engine.
    pub engine: Engine,
    /// Its market.
    pub market: Market,
    /// Connections that were there first and keep books: a process of their own.
    pub first: Crowd,
    /// All others.
    pub others: Crowd,
    /// How opening went.
    pub ramp: Ramp,
    /// Which limits of the host are met.
    pub host: HostWatch,
    /// The file of a market that stands still.
    _quiet: Option<QuietMarket>,
}

/// How opening went.
#[derive(Clone, Debug, Default)]
pub struct Ramp {
    /// Connections that were open in the end.
    pub open: u32,
    /// From the first tenth's end on: how many were opened, and how long that took.
    pub most: Went,
    /// The engine and the cores in that time.
    pub between: Between,
    /// Memory without connections, with a tenth, with all.
    pub looks: Vec<MemoryLook>,
    /// What the first ones saw when they were alone.
    pub alone: CrowdTotals,
    /// What stopped it, for people.
    pub stopped: Option<String>,
}

impl Stage {
    /// Starts an engine that pings each `ping_ms`, and opens all connections to it.
    pub fn build(
        own: &Own,
        options: &ScaleOptions,
        ping_ms: u32,
        progress: &Progress,
    ) -> Result<Stage, RunError> {
        let scene = &options.scene;
        progress.say(SERVER, "starting");
        let quiet = options.is_quiet().then(|| QuietMarket::write(&options.cadence));
        let quiet = quiet
            .transpose()
            .map_err(|error| RunError::Usage(format!("cannot write among the temporary files: {error}")))?;
        let market = match &quiet {
            Some(quiet) => Market {
                feed: quiet.feed(),
                streams: vec![QuietMarket::stream(&options.cadence)],
            },
            None => scene.market(options.symbols(), &options.rate().to_string(), &options.cadence)?,
        };
        let flags = ["--ping-ms", &ping_ms.to_string(), "--stats", STATS].map(String::from);
        let engine = scene.start_engine_with(own, &market, options.connections(), &flags)?;
        let template = CrowdOrder {
            zipf: if market.streams.len() > 1 {
                options.zipf
            } else {
                0.0
            },
            is_quiet: quiet.is_some(),
            role: options.role(),
            ..scene.order(engine.address(), &market, options.books().0, options.lifetime_s())
        };
        // Those that keep books stay in a churn, and go with all others when all go.
        let first = CrowdOrder {
            role: match template.role {
                Role::Return { .. } => template.role,
                _ => Role::Stay,
            },
            books: options.books().0,
            ..template.clone()
        };
        let mut stage = Stage {
            first: Crowd::start(&own.program, std::slice::from_ref(&first))?,
            others: Crowd::default(),
            engine,
            market,
            ramp: Ramp::default(),
            host: HostWatch::begin()?,
            _quiet: quiet,
        };
        stage.look("without connections")?;
        stage.open(own, options, &template, progress)?;
        Ok(stage)
    }

    /// How many are open, or have come back.
    pub fn come(&self) -> u32 {
        self.first.come() + self.others.come()
    }

    /// The ids of the load's processes.
    pub fn process_ids(&self) -> Vec<u32> {
        [self.first.process_ids(), self.others.process_ids()].concat()
    }

    /// Memory now.
    pub fn memory(&self, when: &str) -> Result<MemoryLook, RunError> {
        let look = MemoryLook::at(when, self.ramp.open, self.engine.id(), &self.process_ids())?;
        Ok(look)
    }

    fn look(&mut self, when: &str) -> Result<(), RunError> {
        let look = self.memory(when)?;
        self.ramp.looks.push(look);
        Ok(())
    }

    fn open(
        &mut self,
        own: &Own,
        options: &ScaleOptions,
        template: &CrowdOrder,
        progress: &Progress,
    ) -> Result<(), RunError> {
        let opened = self.open_parts(own, options, template, progress);
        let by_then = self.come();
        match opened {
            Ok(()) => {}
            // One whose process ended is not open any more, but was: that is how far it went.
            Err(Stop::Limit(reason)) => self.ramp.stopped = Some(reason),
            Err(Stop::Crowd(CrowdError::Child(
                error @ (ChildError::Failed { .. } | ChildError::Ended { .. }),
            ))) => self.ramp.stopped = Some(error.to_string()),
            Err(Stop::Crowd(error)) => return Err(error.into()),
            Err(Stop::Run(error)) => return Err(error),
        }
        self.ramp.open = by_then;
        if self.ramp.stopped.is_none() {
            wait(options.settle, "settling", progress);
            self.look("all open")?;
        }
        Ok(())
    }

    /// Those with books, then a tenth of all, then all.
    fn open_parts(
        &mut self,
        own: &Own,
        options: &ScaleOptions,
        template: &CrowdOrder,
        progress: &Progress,
    ) -> Result<(), Stop> {
        let (with_books, other_books) = options.books();
        let (connections, tenth) = (options.connections(), options.tenth());
        progress.count(SERVER, "opening", connections.into());
        await_open(&mut self.first, 0, &mut self.host, progress)?;
        let floor_ns = self.watch_alone(options, progress)?;
        let part = |first: u32, end: u32, books: u32| {
            let part = CrowdOrder {
                first,
                books,
                floor_ns,
                pause_us: options.pause_us(),
                connects_per_s: options.ramp,
                at_once: options.at_once(),
                ..template.clone()
            };
            order::orders(&part, end - first)
        };
        // Books of the others are a tenth's, too.
        let tenth_books = other_books / 10;
        let tenth_orders = part(with_books, tenth, tenth_books);
        progress.count(SERVER, "opening", connections.into());
        self.others = Crowd::start(&own.program, &tenth_orders)?;
        await_open(&mut self.others, with_books, &mut self.host, progress)?;
        std::thread::sleep(TENTH_SETTLE);
        self.ramp.open = self.come();
        self.look("a tenth open").map_err(Stop::Run)?;
        if let [empty, tenth] = self.ramp.looks.as_slice()
            && let Some(reason) = tenth.shortage(empty, connections, RESERVE_BYTES)
        {
            return Err(Stop::Limit(reason));
        }
        let before = Look::at(self.engine.id()).map_err(RunError::from)?;
        let mut most = Crowd::start(&own.program, &part(tenth, connections, other_books - tenth_books))?;
        let went = await_open(&mut most, tenth, &mut self.host, progress);
        self.others.take_in(most);
        let after = Look::at(self.engine.id()).map_err(RunError::from)?;
        let cores = (options.scene.server_core, options.scene.fleet_core);
        self.ramp.between = after.since(&before, cores).map_err(RunError::from)?;
        self.ramp.most = went?;
        Ok(())
    }

    /// What the first ones see while they are alone: the zero of latencies, and what events are like.
    fn watch_alone(&mut self, options: &ScaleOptions, progress: &Progress) -> Result<Option<i64>, Stop> {
        if options.is_quiet() {
            return Ok(None);
        }
        wait(ALONE, "the first, alone", progress);
        self.first.begin()?;
        wait(ALONE, "the first, alone", progress);
        self.ramp.alone = self.first.report()?;
        Ok(self.ramp.alone.report.floor_ns)
    }
}

/// Why not all were opened.
#[derive(Debug)]
enum Stop {
    /// A limit that was met, or is about to be.
    Limit(String),
    /// A process of the load.
    Crowd(CrowdError),
    /// Anything else: there are no figures.
    Run(RunError),
}

impl From<CrowdError> for Stop {
    fn from(error: CrowdError) -> Stop {
        Stop::Crowd(error)
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Stop {
        Stop::Run(error)
    }
}

/// Waits until all of a crowd are open, while others are already, or until something stops it.
fn await_open(
    crowd: &mut Crowd,
    others: u32,
    host: &mut HostWatch,
    progress: &Progress,
) -> Result<Went, Stop> {
    let until = Instant::now() + OPEN_PATIENCE;
    loop {
        let went = crowd.wait(STEP, &mut |open| progress.at((others + open).into()))?;
        if went.is_whole {
            return Ok(went);
        }
        host.look().map_err(RunError::from)?;
        let memory = MachineSample::take().map_err(RunError::from)?.memory;
        if memory.available_bytes < RESERVE_BYTES {
            return Err(Stop::Limit(format!(
                "memory: {:.0} MB are left on this host, and it needs them",
                memory.available_bytes as f64 / 1e6
            )));
        }
        if Instant::now() >= until {
            return Err(Stop::Limit(format!(
                "time: not all were open within {} s",
                OPEN_PATIENCE.as_secs()
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::crowds::CrowdTotals;

    #[test]
    fn nobody_is_waited_for_where_nobody_is_to_come() {
        let progress = Progress::new(1);
        let went = await_open(
            &mut Crowd::default(),
            5,
            &mut HostWatch::begin().unwrap(),
            &progress,
        )
        .unwrap();
        assert_eq!((went.is_whole, went.count, went.seconds), (true, 0, 0.0));
        assert_eq!(
            Crowd::default().report().unwrap().report,
            CrowdTotals::default().report
        );
    }
}
