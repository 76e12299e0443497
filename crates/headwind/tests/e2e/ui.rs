//! The web UI in a real browser: every page, what people do, and live updates.

mod balancer;
mod browser;
mod bulk;
mod decisions;
mod freeze;
mod live;
mod messages;
mod pages;
mod permissions;
mod pictures;
mod replicas;
mod undo;
mod visit;

pub(crate) use self::bulk::bulk;
pub(crate) use self::decisions::decisions;
pub(crate) use self::live::live;
pub(crate) use self::messages::pictures as pictures_of_messages;
pub(crate) use self::pages::pages;
pub(crate) use self::permissions::permissions;
pub(crate) use self::pictures::{FOLDER as PICTURES, pictures};
pub(crate) use self::replicas::{replicas, tabs};
pub(crate) use self::undo::undo;
