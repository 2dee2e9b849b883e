use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use serde::Serialize;

/// Graphics processors, through NVML, which is loaded where the system has it.
pub(super) struct Gpu {
    nvml: Nvml,
}

/// What `<root>.gpu` says.
#[derive(Serialize)]
pub(super) struct GpuFigures {
    gpus: Vec<OneGpu>,
}

/// One graphics processor; what it does not tell is left out.
#[derive(Serialize)]
struct OneGpu {
    name: String,
    /// Of the time in which anything ran on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u32>,
    memory_used_bytes: u64,
    memory_total_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_celsius: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_watts: Option<f64>,
}

impl Gpu {
    /// Loads NVML.
    pub(super) fn open() -> Result<Self, NvmlError> {
        Ok(Self { nvml: Nvml::init()? })
    }

    /// Reads every processor that answers; `None` where none does.
    pub(super) fn read(&mut self) -> Option<GpuFigures> {
        let count = self.nvml.device_count().ok()?;
        let gpus: Vec<_> = (0..count).filter_map(|at| self.one(at).ok()).collect();
        (!gpus.is_empty()).then_some(GpuFigures { gpus })
    }

    fn one(&self, at: u32) -> Result<OneGpu, NvmlError> {
        let device = self.nvml.device_by_index(at)?;
        let memory = device.memory_info()?;
        let milliwatts = device.power_usage().ok();
        Ok(OneGpu {
            name: device.name()?,
            percent: device.utilization_rates().ok().map(|rates| rates.gpu),
            memory_used_bytes: memory.used,
            memory_total_bytes: memory.total,
            temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
            power_watts: milliwatts.map(|milliwatts| f64::from(milliwatts) / 1_000.0),
        })
    }
}

impl GpuFigures {
    /// The mean of those that tell.
    pub(super) fn percent(&self) -> Option<f64> {
        let told: Vec<f64> =
            self.gpus.iter().filter_map(|gpu| gpu.percent).map(f64::from).collect();
        (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64)
    }

    /// Of all.
    pub(super) fn memory_used_bytes(&self) -> u64 {
        self.gpus.iter().map(|gpu| gpu.memory_used_bytes).sum()
    }

    /// Of all.
    pub(super) fn memory_total_bytes(&self) -> u64 {
        self.gpus.iter().map(|gpu| gpu.memory_total_bytes).sum()
    }
}
