//! Every page, without a browser and without a cluster.

mod actions;
mod detail;
mod gates;
mod live;
mod pages;
mod settings;
mod site;
