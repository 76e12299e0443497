//! The source of the figures on the page Observability. These settings may change while Headwind runs.

use headwind_web::ui::source::{InfluxDb, MetricsSource, Prometheus};

/// The flags and variables.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MetricsSourceArgs {
    /// Source of the figures on the page Observability: `auto`, `prometheus` (or `victoriametrics`), `influxdb` or `process`.
    /// `auto` takes the source whose URL is set, or looks for Prometheus by the usual names of its Service, or takes the
    /// metrics of the process
    #[arg(long, env = "HEADWIND_METRICS_SOURCE", value_name = "SOURCE", default_value = "auto", value_parser = ["auto", "prometheus", "victoriametrics", "influxdb", "process"])]
    metrics_source: String,

    /// URL of Prometheus or VictoriaMetrics
    #[arg(long, env = "HEADWIND_PROMETHEUS_URL", value_name = "URL", value_parser = prometheus_url)]
    prometheus_url: Option<String>,

    /// Label matchers that select the series of this Headwind, such as `namespace="headwind"`. Default: all series
    #[arg(long, env = "HEADWIND_PROMETHEUS_SELECTOR", value_name = "MATCHERS", value_parser = prometheus_selector)]
    prometheus_selector: Option<String>,

    /// URL of InfluxDB 2
    #[arg(long, env = "HEADWIND_INFLUXDB_URL", value_name = "URL", value_parser = influxdb_url)]
    influxdb_url: Option<String>,

    /// Organization in InfluxDB
    #[arg(long, env = "HEADWIND_INFLUXDB_ORG", value_name = "ORG")]
    influxdb_org: Option<String>,

    /// Bucket in InfluxDB
    #[arg(long, env = "HEADWIND_INFLUXDB_BUCKET", value_name = "BUCKET")]
    influxdb_bucket: Option<String>,

    /// Token for InfluxDB
    #[arg(long, env = "HEADWIND_INFLUXDB_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    influxdb_token: Option<String>,
}

fn prometheus_url(text: &str) -> Result<String, String> {
    Prometheus::new(text, "").map(|_| text.to_owned())
}

fn prometheus_selector(text: &str) -> Result<String, String> {
    Prometheus::new("http://localhost", text).map(|_| text.to_owned())
}

fn influxdb_url(text: &str) -> Result<String, String> {
    InfluxDb::new(text, "", "", None).map(|_| text.to_owned())
}

impl MetricsSourceArgs {
    /// Returns the source. A source without its URL is that of the process.
    pub(crate) fn read(&self) -> MetricsSource {
        let prometheus = || {
            let url = self.prometheus_url.as_ref()?;
            Prometheus::new(url, self.prometheus_selector.as_deref().unwrap_or_default()).ok().map(MetricsSource::Prometheus)
        };
        let influxdb = || {
            let (org, bucket) = (self.influxdb_org.as_deref().unwrap_or_default(), self.influxdb_bucket.as_deref().unwrap_or_default());
            let source = InfluxDb::new(self.influxdb_url.as_ref()?, org, bucket, self.influxdb_token.as_deref());
            source.ok().map(MetricsSource::InfluxDb)
        };
        match self.metrics_source.as_str() {
            "prometheus" | "victoriametrics" => prometheus().unwrap_or(MetricsSource::Find),
            "influxdb" => influxdb().unwrap_or(MetricsSource::Process),
            "process" => MetricsSource::Process,
            _ => prometheus().or_else(influxdb).unwrap_or(MetricsSource::Find),
        }
    }
}
