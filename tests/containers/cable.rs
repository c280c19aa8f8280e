//! What connects a machine with the others: a port of a bridge.

use crate::namespaces::run;

/// The far end of a machine's one network device.
pub struct Cable {
    /// The namespace that it is in; none for that of this process.
    pub hub: Option<String>,
    pub port: String,
}

impl Cable {
    /// Into this switch alone: what is in the other does not hear of it, as with a cable that is
    /// pulled.
    pub fn plug(&self, switch: &str) {
        self.tool("ip", &format!("link set {} master {switch}", self.port));
    }

    /// So many bits a second come to the machine at most.
    pub fn limit(&self, bits: u64) {
        let rate = format!("tbf rate {bits}bit burst 64kb latency 100ms");
        self.tool(
            "tc",
            &format!("qdisc replace dev {} root {rate}", self.port),
        );
    }

    /// As many as there are.
    pub fn lift_limit(&self) {
        self.tool("tc", &format!("qdisc del dev {} root", self.port));
    }

    #[track_caller]
    fn tool(&self, tool: &str, words: &str) {
        let hub = self.hub.as_ref();
        let hub = hub.map_or_else(String::new, |hub| format!("-n {hub} "));
        run(tool, &format!("{hub}{words}")).unwrap();
    }
}
