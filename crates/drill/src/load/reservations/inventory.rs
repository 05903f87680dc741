//! A timetable: flights with places, read from the NDJSON that `evenkeel import` takes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::setup::Resource;

/// More flights than this are refused.
const FLIGHTS_MAX: usize = 2_000_000;

/// The places of one flight, in the form of a resource's PUT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Places {
    /// Counted.
    Quantity {
        /// How many.
        capacity: u32,
    },
    /// Named, 1–1,000.
    Seats {
        /// Their names.
        seats: Vec<Box<str>>,
    },
}

/// One flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// The resource's name.
    pub resource: Box<str>,
    /// Its places.
    #[serde(flatten)]
    pub places: Places,
}

/// All flights, those with seat maps apart.
#[derive(Debug, Clone)]
pub struct Inventory {
    flights: Vec<Flight>,
    seat_maps: usize,
}

/// Why a timetable cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A line.
    #[error("line {line} is not a resource: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No flights.
    #[error("the timetable holds no flight")]
    Empty,
    /// Too many.
    #[error("the timetable holds more than {flights_max} flights")]
    TooLarge {
        /// The limit.
        flights_max: usize,
    },
}

impl Flight {
    /// What creates it.
    #[must_use]
    pub fn as_resource(&self) -> Resource {
        Resource {
            name: self.resource.to_string(),
            body: serde_json::to_string(&self.places).expect("numbers and strings are always JSON"),
        }
    }
}

impl Inventory {
    /// Reads one resource a line.
    ///
    /// # Errors
    /// [`InventoryError`], with the line.
    pub fn read(path: &Path) -> Result<Self, InventoryError> {
        let failed = |source| InventoryError::Read { path: path.to_owned(), source };
        let mut flights = Vec::new();
        let lines = BufReader::new(File::open(path).map_err(failed)?).lines();
        for (index, line) in lines.enumerate() {
            let line = line.map_err(failed)?;
            if line.trim().is_empty() {
                continue;
            }
            let flight =
                parse(&line).map_err(|reason| InventoryError::Line { line: index + 1, reason })?;
            if flights.len() == FLIGHTS_MAX {
                return Err(InventoryError::TooLarge { flights_max: FLIGHTS_MAX });
            }
            flights.push(flight);
        }
        Self::new(flights)
    }

    /// Of these flights.
    ///
    /// # Errors
    /// [`InventoryError::Empty`].
    pub fn new(flights: Vec<Flight>) -> Result<Self, InventoryError> {
        let (mut all, counted): (Vec<_>, Vec<_>) =
            flights.into_iter().partition(|flight| matches!(flight.places, Places::Seats { .. }));
        let seat_maps = all.len();
        all.extend(counted);
        if all.is_empty() {
            return Err(InventoryError::Empty);
        }
        Ok(Self { flights: all, seat_maps })
    }

    /// 400 counted flights and 100 with seat maps, 150 places each, with names of their own.
    #[must_use]
    pub fn made_up() -> Self {
        let run = fastrand::u64(..);
        let flights = (0..500).map(|number| {
            let seats = || (0..150).map(|seat| seat_name(seat).into()).collect();
            Flight {
                resource: format!("bench-flight-{run:016x}-{number}").into(),
                places: match number % 5 {
                    0 => Places::Seats { seats: seats() },
                    _ => Places::Quantity { capacity: 150 },
                },
            }
        });
        Self::new(flights.collect()).expect("500 flights are not none")
    }

    /// All flights, those with seat maps first.
    #[must_use]
    pub fn flights(&self) -> &[Flight] {
        &self.flights
    }

    /// How many of them have a seat map.
    #[must_use]
    pub fn seat_maps(&self) -> usize {
        self.seat_maps
    }
}

fn parse(line: &str) -> Result<Flight, String> {
    let flight: Flight = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match &flight.places {
        Places::Seats { seats } if seats.is_empty() || seats.len() > 1000 => {
            Err("a seat map has 1–1,000 seats".into())
        }
        Places::Quantity { capacity: 0 } => Err("a capacity is at least 1".into()),
        _ => Ok(flight),
    }
}

/// Six abreast: 1A … 1F, 2A ….
fn seat_name(seat: u32) -> String {
    let letters = ['A', 'B', 'C', 'D', 'E', 'F'];
    format!("{}{}", seat / 6 + 1, letters[(seat % 6) as usize])
}
