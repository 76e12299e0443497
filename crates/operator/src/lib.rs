//! The running operator.
//!
//! ```text
//!  web ──offer──> propose ──> decide ○ ──────────> UpdateRequests
//!                   │ index                              │ watch
//!  web ──act──> handle ──> UpdateRequests <── reconcile ─┤
//!                                                │       └ requests
//!                                              apply ──> the workload
//! ```
//!
//! The poller queries registries on the leader, and its results take the same path.
//!
//! Every replica watches, receives events and records proposals. Only the holder of the Lease reconciles. The state in
//! memory (`index`, `requests`) is a copy of that in the API server and can be rebuilt at any time. All writes go
//! through `cluster`.

mod act;
mod api;
mod catalogue;
mod clock;
mod cluster;
mod observe;
mod propose;
mod registries;
mod report;
mod run;
mod settings;
mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use api::audit::{Action as AuditedAction, TARGET as AUDIT};
pub use api::auth_method::AuthMethod;
pub use api::caller::{BearerToken, Caller};
pub use api::channels::TestError;
pub use api::commands::{ActError, RequestName};
pub use api::counts::Counts;
pub use api::explain::{WorkloadFilter, WorkloadPage, WorkloadView};
pub use api::handle::{Full, Handle, Offered};
pub use api::limits::LimitsView;
pub use api::permission::Permission;
pub use api::requests::Page;
pub use api::reviews::{Identity, Unanswered};
pub use api::rollback::{Past, RollbackError};
pub use api::settings::{SaveError, SettingsChange};
pub use api::slack::action as action_of_click;
pub use api::updates::{Order, SortBy, UpdatePage, UpdateQuery, UpdateSummary};
pub use api::workloads::{Overview, SettingOrigin, SettingValue, WorkloadRow, WorkloadState};
pub use catalogue::catalogue as metrics_catalogue;
pub use observe::requests::{Filter, PhaseCounts};
pub use observe::visible::Visible;
pub use propose::RecordingFailure;
pub use propose::poll::Polling;
pub use report::entry::ReportEntry;
pub use report::journal::RequestChange;
pub use report::{notify, trace};
pub use run::{Config, Operator, StartError};
pub use settings::{Adopt, ObjectVersion, StoredSettings};
