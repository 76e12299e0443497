//! The reasons to refuse a caller.

use axum::http::StatusCode;
use headwind_operator::Permission;

use crate::problem::Problem;

/// The caller is not authenticated, or has no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request does not prove the caller's identity (401).
    #[error("{0}")]
    Unknown(String),
    /// The action is forbidden on this port (403).
    #[error("{0}")]
    Forbidden(String),
    /// The caller lacks a permission (403).
    #[error("{user} may not {permission}")]
    Missing {
        /// The caller's name.
        user: String,
        /// The permission.
        permission: Box<Permission>,
    },
    /// Too many checks are in progress (429).
    #[error("{0}")]
    TooMany(String),
    /// The API server did not respond, so the caller's identity or permission is unknown (503).
    #[error("{0}")]
    Unavailable(String),
}

impl Refused {
    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Missing { .. } => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the missing permission, if that is the reason.
    pub fn permission(&self) -> Option<&Permission> {
        match self {
            Self::Missing { permission, .. } => Some(permission),
            Self::Unknown(_) | Self::Forbidden(_) | Self::TooMany(_) | Self::Unavailable(_) => None,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Problem::new(refused.status(), refused.to_string())
    }
}
