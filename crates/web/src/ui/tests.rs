//! Every page, without a browser and without a cluster.

mod actions;
mod live;
mod pages;
mod settings;
mod site;
